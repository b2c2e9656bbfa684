//! What is done again and again without anybody's asking: health snapshots, and the end of what is too old.

mod common;

use std::time::{Duration, Instant};

use common::*;
use pg_test::Options;
use postgres::Client;

#[test]
fn without_pg_cron_the_workers_take_the_snapshot_and_apply_the_retention() {
    let cluster = bare(&Options::default().workers());
    let mut client = cluster.client().unwrap();
    client
        .batch_execute("INSERT INTO oncall.metric_sample (metric, value, sampled_at) SELECT 'old', 1, now() - interval '8 days' FROM generate_series(1, 2500)")
        .unwrap();
    until("there is a snapshot", || number(&mut client, "SELECT count(*) FROM oncall.health_snapshot") > 0);
    until("what is old is gone", || number(&mut client, "SELECT count(*) FROM oncall.metric_sample") == 0);
    until("it says so", || number(&mut client, "SELECT count(*) FROM oncall.retention WHERE applied_at IS NULL") == 0);
}

#[test]
fn with_pg_cron_its_jobs_do_it_and_the_workers_do_not() {
    let options = Options::default()
        .workers()
        .preload("pg_cron, pg_oncall")
        .set("cron.database_name", "postgres")
        .set("cron.use_background_workers", "on");
    let cluster = bare(&options);
    let mut client = cluster.client().unwrap();
    let error = refused(&mut client, "SELECT oncall.schedule_health_snapshot('*/15 * * * *')", "55000");
    assert!(error.contains("pg_cron is not installed in database \"postgres\""), "{error}");
    client.batch_execute("CREATE EXTENSION pg_cron; CREATE ROLE admin LOGIN IN ROLE oncall_admin").unwrap();
    let mut admin = cluster.client_as("admin", "postgres").unwrap();
    let began = Instant::now();
    let schedule = |admin: &mut Client, schedule: &str| -> i64 {
        admin.query_one("SELECT oncall.schedule_health_snapshot($1)", &[&schedule]).unwrap().get(0)
    };
    let job = schedule(&mut admin, "*/15 * * * *");
    // A second call changes the job, and makes no other.
    assert_eq!(schedule(&mut admin, "* * * * *"), job);
    admin.batch_execute("SELECT oncall.schedule_retention('* * * * *')").unwrap();
    let jobs = "SELECT jobname, schedule, database FROM cron.job ORDER BY jobname";
    let jobs: Vec<(String, String, String)> =
        client.query(jobs, &[]).unwrap().iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect();
    let expected = |name: &str| (name.to_owned(), "* * * * *".to_owned(), "postgres".to_owned());
    assert_eq!(jobs, [expected("pg_oncall: health snapshot"), expected("pg_oncall: retention")]);
    assert!(schedule_error(&mut admin).contains("invalid schedule"), "pg_cron's own error comes through");
    // A minute is the least that pg_cron counts in.
    let runs = "SELECT count(DISTINCT jobid) FROM cron.job_run_details WHERE status = 'succeeded'";
    while number(&mut client, runs) < 2 {
        assert!(began.elapsed() < Duration::from_secs(150), "pg_cron ran nothing: {}", run_details(&mut client));
        std::thread::sleep(Duration::from_millis(200));
    }
    let taken = "SELECT count(DISTINCT taken_at) FROM oncall.health_snapshot";
    let by_cron = "SELECT count(*) FROM cron.job_run_details AS d JOIN cron.job AS j USING (jobid)
                   WHERE j.jobname = 'pg_oncall: health snapshot' AND d.status = 'succeeded'";
    let (taken, by_cron) = (number(&mut client, taken), number(&mut client, by_cron));
    assert!((1..=by_cron + 1).contains(&taken), "{taken} snapshots, {by_cron} by pg_cron");
    assert_eq!(number(&mut client, "SELECT count(*) FROM oncall.retention WHERE applied_at IS NULL"), 0);
}

fn schedule_error(client: &mut Client) -> String {
    told(&client.batch_execute("SELECT oncall.schedule_health_snapshot('every now and then')").unwrap_err())
}

fn run_details(client: &mut Client) -> String {
    let rows = client.query("SELECT status, return_message FROM cron.job_run_details", &[]).unwrap();
    format!("{:?}", rows.iter().map(|row| (row.get(0), row.get(1))).collect::<Vec<(Option<String>, Option<String>)>>())
}

#[test]
fn months_of_the_log_that_are_too_old_are_dropped_whole() {
    let cluster = bare(&Options::default());
    let mut client = cluster.client().unwrap();
    load_runbooks(&cluster, &mut client);
    client
        .batch_execute(
            "CREATE TABLE oncall.inference_audit_log_2020_01 (LIKE oncall.inference_audit_log_default INCLUDING ALL);
             ALTER TABLE oncall.inference_audit_log ATTACH PARTITION oncall.inference_audit_log_2020_01
                 FOR VALUES FROM ('2020-01-01+00') TO ('2020-02-01+00');
             SELECT oncall.ensure_log_partitions();
             INSERT INTO oncall.inference_audit_log (user_query, execution_ts)
             VALUES ('long ago', '2020-01-15'), ('long ago, in no month', '2019-01-15'), ('now', now())",
        )
        .unwrap();
    client.batch_execute("SELECT oncall.apply_retention()").unwrap();
    let left = client.query("SELECT user_query FROM oncall.inference_audit_log", &[]).unwrap();
    assert_eq!(left.iter().map(|row| row.get(0)).collect::<Vec<String>>(), ["now"]);
    assert_eq!(number(&mut client, "SELECT count(*) FROM pg_class WHERE relname = 'inference_audit_log_2020_01'"), 0);
    // Kept for ever, where it is said.
    client
        .batch_execute(
            "UPDATE oncall.retention SET keep = NULL;
             INSERT INTO oncall.inference_audit_log (user_query, execution_ts) VALUES ('long ago', '2019-01-15');
             SELECT oncall.apply_retention()",
        )
        .unwrap();
    assert_eq!(number(&mut client, "SELECT count(*) FROM oncall.inference_audit_log"), 2);
}
