use proptest::prelude::*;

use super::{redact, redact_named, settle};

fn clean(text: &str) -> String {
    redact(text).as_str().to_owned()
}

#[test]
fn what_follows_a_name_of_a_secret_is_removed_and_the_rest_stays() {
    for (text, expected) in [
        (
            "host=db1 user=app password=s3cr3t dbname=shop",
            "host=db1 user=app password=[redacted: password] dbname=shop",
        ),
        ("password='it\\'s secret' user=app", "password='[redacted: password]' user=app"),
        ("password='''quoted' user=app", "password='[redacted: password]' user=app"),
        ("PGPASSWORD=hunter2 psql -h db1", "PGPASSWORD=[redacted: password] psql -h db1"),
        ("Server=x;Uid=sa;Pwd=a,b;c!;Database=y", "Server=x;Uid=sa;Pwd=[redacted: password];Database=y"),
        ("?user=a&token=abc&x=1", "?user=a&token=[redacted: token]&x=1"),
        ("passwd: hunter2, next", "passwd: [redacted: password], next"),
        ("db_pass = \"x y\"", "db_pass = \"[redacted: password]\""),
        (r#"{"password":"a\"b","user":"x"}"#, r#"{"password":"[redacted: password]","user":"x"}"#),
        (r#"{\"api_key\": \"abc\", \"n\": 1}"#, r#"{\"api_key\": \"[redacted: key]\", \"n\": 1}"#),
        ("client_secret => 'x'", "client_secret => '[redacted: secret]'"),
        ("aws_secret_access_key = wJalrXUtnFEMI/K7MDENG", "aws_secret_access_key = [redacted: secret]"),
        ("--password hunter2 --host db1", "--password [redacted: password] --host db1"),
        ("form[password]=abc&b=2", "form[password]=[redacted: password]&b=2"),
        (r#"{"name":"DB_PASSWORD","value":"abc"}"#, r#"{"name":"DB_PASSWORD","value":"[redacted: password]"}"#),
        ("- name: DB_PASSWORD\n  value: abc\n", "- name: DB_PASSWORD\n  value: [redacted: password]\n"),
        ("WHERE token = 'abc' AND id = 7", "WHERE token = '[redacted: token]' AND id = 7"),
        ("password: \"never closed\nnext line", "password: \"[redacted: password]\nnext line"),
        ("Passwort: пароль, Kennung: x", "Passwort: [redacted: password], Kennung: x"),
        ("key=9f86d081884c7d659a2feaa0c55ad015a3bf4f1b", "key=[redacted: key]"),
        (r#"{"password": ["a", "b]"], "n": 1}"#, r#"{"password": [redacted: password], "n": 1}"#),
        (r#"{\"secrets\":{\"a\":[\"b\"]},\"n\":1}"#, r#"{\"secrets\":[redacted: secret],\"n\":1}"#),
        ("password: open\nnext", "password: [redacted: password]\nnext"),
        ("password=access denied", "password=[redacted: password] denied"),
        ("secret=/wJalrXUtnFEMI/K7MDENG", "secret=[redacted: secret]"),
        ("password=$ecret, $1x", "password=[redacted: password], $1x"),
        ("password=$1)x y", "password=[redacted: password] y"),
    ] {
        assert_eq!(clean(text), expected, "from {text}");
    }
}

#[test]
fn passwords_are_removed_from_urls_and_data_source_names() {
    for (text, expected) in [
        ("postgres://app:s3cr3t@db1:5432/shop", "postgres://app:[redacted: password]@db1:5432/shop"),
        ("postgres://app:p@ss@db1.example.com/shop", "postgres://app:[redacted: password]@db1.example.com/shop"),
        ("postgres://app:pa/ss#1@db1/shop", "postgres://app:[redacted: password]@db1/shop"),
        ("redis://:secret@cache:6379", "redis://:[redacted: password]@cache:6379"),
        ("https://0123456789abcdef0123456789abcdef@o1.ingest.example/4", "https://[redacted: key]@o1.ingest.example/4"),
        ("app:pw@tcp(db1:3306)/shop", "app:[redacted: password]@tcp(db1:3306)/shop"),
        ("curl -s -u admin:pw https://x", "curl -s -u admin:[redacted: password] https://x"),
        ("redis+tls-x://u:p-w@h:1", "redis+tls-x://u:[redacted: password]@h:1"),
        ("sftp jane:pw@db1.example.com:/x", "sftp jane:[redacted: e-mail address]:/x"),
    ] {
        assert_eq!(clean(text), expected, "from {text}");
    }
}

#[test]
fn passwords_are_removed_from_sql() {
    for (text, expected) in [
        (
            "ALTER ROLE app PASSWORD 'it''s x' VALID UNTIL 'y'",
            "ALTER ROLE app PASSWORD '[redacted: password]' VALID UNTIL 'y'",
        ),
        ("alter role app password $a$x$a$;", "alter role app password $a$[redacted: password]$a$;"),
        ("GRANT ALL TO u IDENTIFIED BY 'x'", "GRANT ALL TO u IDENTIFIED BY '[redacted: password]'"),
        ("identified by tiger", "identified by [redacted: password]"),
        ("rolpassword | md5a3556571e93b0d20722ba62be61e8c2d |", "rolpassword | [redacted: password hash] |"),
        ("x SCRAM-SHA-256$4096:c2FsdA==$a2V5:c2Vy= y", "x [redacted: password hash] y"),
        ("dblink_connect('host=x password=y')", "dblink_connect('host=x password=[redacted: password]')"),
    ] {
        assert_eq!(clean(text), expected, "from {text}");
    }
}

#[test]
fn tokens_are_known_by_their_looks() {
    // Put together here, so that no scanner takes this file for a leak.
    let words = [
        ("AWS key", format!("AKIA{}", "IOSFODNN7EXAMPLE")),
        ("GitHub token", format!("ghp_{}", "a1B2".repeat(9))),
        ("GitHub token", format!("github_pat_{}", "a1B2".repeat(9))),
        ("GitLab token", format!("glpat-{}", "a1B2".repeat(5))),
        ("Slack token", format!("xoxb-{}", "1234567890-abcdef")),
        ("JWT", format!("eyJ{}.eyJ{}.{}", "hbGciOiJIUzI1NiJ9", "zdWIiOiIxIn0", "a-_9")),
        ("key", format!("sk-{}", "a1B2".repeat(6))),
        ("e-mail address", "jane.doe+oncall@mail.example.com".to_owned()),
    ];
    for (kind, word) in words {
        assert_eq!(clean(&format!("saw {word} here")), format!("saw [redacted: {kind}] here"));
    }
    let hook = format!("https://hooks.slack.com/{}/T000/B000/XXXX, then", "services");
    assert_eq!(clean(&hook), "https://[redacted: webhook], then");
}

#[test]
fn headers_lose_their_credentials() {
    assert_eq!(
        clean("Authorization: Bearer abc.def\nHost: x"),
        "Authorization: Bearer [redacted: authorization]\nHost: x"
    );
    assert_eq!(clean("-H 'authorization: Basic dTpw' -v"), "-H 'authorization: Basic [redacted: authorization]' -v");
    assert_eq!(clean("sent Bearer a1b2c3d4e5f6a7b8c9"), "sent Bearer [redacted: authorization]");
    assert_eq!(clean("Set-Cookie: sid=1; Secure\nx"), "Set-Cookie: [redacted: cookie]\nx");
}

#[test]
fn a_secret_in_the_head_of_another_is_removed_too() {
    for (text, expected) in [
        (
            "curl -H 'Authorization: Bearer abc' -u admin:pw https://x",
            "curl -H 'Authorization: Bearer [redacted: authorization]' -u admin:[redacted: password] https://x",
        ),
        ("curl -H 'X-Token: abc' -u admin: https://x", "curl -H 'X-Token: [redacted: token]' -u admin: https://x"),
        ("curl -u AKIA0000000000000000:pw", "curl -u [redacted: AWS key]:[redacted: password]"),
        (
            "curl redis://token=a:b@h -u u:pw",
            "curl redis://token=[redacted: token][redacted: password]@h -u u:[redacted: password]",
        ),
    ] {
        assert_eq!(clean(text), expected, "from {text}");
    }
}

#[test]
fn a_head_that_was_taken_for_a_secret_still_has_its_own() {
    for text in [
        "invalid credentials: token: Zq7",
        "--password Authorization: Zq7",
        "Authorization: PASSWORD 'Zq7'",
        "pass=a/token='x Zq7'",
        "Authorization: -----BEGIN PRIVATE KEY-----MIIE\nZq7",
    ] {
        assert!(!clean(text).contains("Zq7"), "from {text}: {}", clean(text));
    }
}

#[test]
fn a_private_key_is_removed_whole_even_when_its_end_was_cut_off() {
    let whole = "a\n-----BEGIN RSA PRIVATE KEY-----\nMIIE+/=\nabc\n-----END RSA PRIVATE KEY-----\nb";
    assert_eq!(clean(whole), "a\n[redacted: private key]\nb");
    assert_eq!(clean("x -----BEGIN PRIVATE KEY-----\nMIIE"), "x [redacted: private key]");
    for before in ["private_key: ", "TLS_SECRET=", "\"key\": \"", "--private-key "] {
        let text = clean(&format!("{before}-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----\nb"));
        assert!(!text.contains("MIIE") && text.ends_with("]\nb"), "{text}");
    }
}

#[test]
fn useful_text_stays_as_it_is() {
    for text in [
        "Connection pool exhaustion: pool_size=50, active=198",
        "fingerprint: 9f86d081884c7d65, step RB-001/raise-the-pool-size of RB-001",
        "SELECT * FROM orders WHERE customer_id = $1 AND token = $2 AND password=? OR secret = NULL",
        "UPDATE users SET password = $1, token = $2::text WHERE token::text = $3",
        "FATAL: password authentication failed for user \"app\"",
        "password_encryption = scram-sha-256, max_tokens=100, tokens_in: 5, bypass=1, monkey=7",
        "http://db1.example.com:9090/graph?x=user@host and postgres://app@db1.example.com/shop",
        "kafka://h1:9092/topic ssh://git@host ssl_key_file = /etc/ssl/private/ssl-cert-snakeoil-0001.key",
        "commit 03122a5d9f86d081884c7d659a2feaa0c55ad015 at 0/16B3748, uuid 6f9619ff-8b86-d011-b42d-00cf4fc964ff",
        "user 'app'@'%' @mentions 5m@1h; p95=1.2s; dür=5µs; key: value; primary key: id",
        "the bearer of news; a basic understanding-of-things; token bucket; no secret here",
        "password='' user=x, secret: ****",
        "error getting credentials: exit status 1; cannot read secret: permission denied",
        "the token: it has expired. password: 16 bytes, token: expired",
        "queries are identified by queryid, the cluster identified by the id above; Image pull secrets:  regcred-6wl6b",
        "GOOGLE_APPLICATION_CREDENTIALS=/var/lib/app/gcs.json --private-key 'file://tls.key'",
        "PRIVATE-TOKEN: $GITLAB_ADMIN_TOKEN, password=${DB_PW} psql --password --port=5432",
        "ssh root@db1.example.com, scp jane@db1.example.com:/tmp/x, git@git.example.com:a/b.git",
        "(the block that starts with `-----BEGIN PRIVATE KEY-----`)",
    ] {
        assert_eq!(clean(text), text);
    }
}

#[test]
fn a_label_with_the_name_of_a_secret_loses_its_value_whatever_it_looks_like() {
    for name in ["password", "DB_PASSWORD", "api-key", "apiKey", "secret", "authToken", "Authorization", "db_pass"] {
        assert_eq!(redact_named(name, "plain words").as_str(), "[redacted: by name]", "{name}");
    }
    for name in ["job", "alertname", "instance", "tokens", "compass", "password_encryption", "keyspace"] {
        assert_eq!(redact_named(name, "plain words").as_str(), "plain words", "{name}");
    }
    assert_eq!(redact_named("job", "password=x").as_str(), "password=[redacted: password]");
}

#[test]
fn a_cut_text_is_no_longer_than_asked_and_says_so() {
    let text = redact("ünïcödé ".repeat(20).as_str());
    for bytes in 0..text.as_str().len() {
        assert!(text.cut(bytes).as_str().len() <= bytes);
    }
    assert!(text.cut(60).as_str().ends_with("[cut]"));
    assert_eq!(text.cut(text.as_str().len()), text);
}

#[test]
fn a_long_text_built_to_be_slow_is_read_in_one_pass() {
    // Were any of these read again from every head, this would take hours.
    for part in [
        "a",
        "-AKIA0000000000000000",
        "eyJ-",
        "password=\"",
        "password='\\'",
        "password=\\\\\"",
        "password=[\"",
        "password={\"a",
        "password $a",
        "--password ",
        "@tcp(",
        "@a.",
        "a@",
        "a://b:",
        "a-a-a-a-a-a-a-a-a-a-://b:",
        "key=",
        "-----BEGIN PRIVATE KEY-----!",
        "-----BEGIN PRIVATE KEY-----a",
        "Authorization: -----BEGIN PRIVATE KEY-----a",
        "[redacted: ",
        "[redacted: a]password=x ",
        "\\\\\"",
        "curl ",
        "curl -u a:b ",
        "md5a3556571e93b0d20722ba62be61e8c2d",
        "password=,",
    ] {
        let once = clean(&part.repeat(200_000 / part.len()));
        assert_eq!(clean(&once), once, "from {part}");
    }
}

#[test]
fn a_text_that_does_not_settle_is_removed_whole() {
    let mut kept = "before ".to_owned();
    settle("host=db1 password=hunter2", 0, &mut kept);
    assert_eq!(kept, "before [redacted: tangled text]");
}

#[test]
fn what_an_earlier_pass_left_is_a_wall() {
    for text in [
        "password=[redacted: AWS key]:",
        "--pass &[redacted: AWS key]:",
        "identified by ,[redacted: JWT]=x",
        "curl -u [redacted: AWS key]:x token",
        "p://:[redacted: private key]@",
    ] {
        assert_eq!(clean(text), text);
    }
}

/// Texts that changed again when they were redacted for the second time, as they were found.
#[test]
fn texts_that_once_changed_twice_do_so_no_more() {
    for text in [
        "md5a3556571e93b0d20722ba62be61e8c2dSCRAM-SHA-256$1:",
        "md5a3556571e93b0d20722ba62be61e8c2dghp_aaaaaaaaaaaaaaaaaaaa",
        "md5a3556571e93b0d20722ba62be61e8c2dhooks.slack.com/services/a",
        "p://:-----BEGIN PRIVATE KEY-----@",
        "--pass &AKIA0000000000000000:",
        "identified by ,AKIA0000000000000000=",
        "pass=;eyJaaaiaazaaaiaa:",
        "--secret \\n@a.aa",
        "a://ghp_aaaaaaaaaaaaaaaaaaaa=a",
        "curl -u AKIA0000000000000000=aaaaaaaaaaabcdefaaaaaaaaa9abcdef",
        "curl -u token=a :a",
        "curl -u xoxb-aaaaaaaaaa\t:a",
    ] {
        let once = clean(text);
        assert_eq!(clean(&once), once, "from {text}");
    }
}

/// Words that mean something to the redactor, in any order: what a hostile text is made of.
fn hostile() -> impl Strategy<Value = String> {
    let parts = [
        "password",
        "token",
        "secret",
        "api_key",
        "key",
        "pass",
        "=",
        ":",
        " ",
        "\n",
        "'",
        "\"",
        "\\",
        "$1",
        "$a$",
        "@",
        "://",
        "a",
        "b1",
        "é",
        "user",
        "example.com",
        "tcp(",
        "[redacted: ",
        "[redacted: password]",
        "[redacted: token]",
        "]",
        ",",
        ";",
        "&",
        "AKIA0000000000000000",
        "eyJhbGciOiJIUzI1NiJ9",
        "Bearer ",
        "Authorization: ",
        "identified by ",
        "PASSWORD '",
        "-----BEGIN PRIVATE KEY-----",
        "-----END PRIVATE KEY-----",
        "--password ",
        "value",
        "cookie: ",
        "curl -u ",
        "0123456789abcdef0123456789abcdef",
        "://aaaaaaaaaaaaaaaaaaaaaaaaa@",
        "[",
        "{",
        "}",
        ")",
        "/",
        "`",
        "-",
        "_",
        "the ",
        "root",
        "null",
        "--secret ",
        "@a.bc",
        "ghp_aaaaaaaaaaaaaaaaaaa1",
        "xoxb-1234567890",
        "hooks.slack.com/services/",
        "md5a3556571e93b0d20722ba62be61e8c2d",
        "SCRAM-SHA-256$1:",
    ];
    prop::collection::vec(prop::sample::select(parts.to_vec()), 0..14).prop_map(|words| words.concat())
}

/// A few thousand cases, or as many as `PROPTEST_CASES` asks for: the rarest of these take a hundred thousand.
fn config() -> ProptestConfig {
    let default = ProptestConfig::default();
    let cases = if std::env::var_os("PROPTEST_CASES").is_some() { default.cases } else { 4000 };
    ProptestConfig { cases, failure_persistence: None, ..default }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn redacting_twice_changes_nothing(text in prop_oneof![hostile(), any::<String>()]) {
        let once = clean(&text);
        prop_assert_eq!(clean(&once), once);
    }

    #[test]
    fn a_password_never_survives_whatever_surrounds_it(
        before in "[a-z \n]{0,20}", after in "[a-z \n]{0,20}", key in "(password|PGPASSWORD|db_passwd|api_key|token)",
        secret in "[A-Za-z0-9!#%^*+/:=@$.~-]{0,10}Zq7[A-Za-z0-9!#%^*+/:@$.~-]{0,10}",
    ) {
        // No separators in it: two keys in one value cannot be told from two values.
        let text = clean(&format!("{before} {key}={secret} {after}"));
        prop_assert!(!text.contains("Zq7"), "{}", text);
        let text = clean(&format!("{before} {key}='{secret}' {after}"));
        prop_assert!(!text.contains("Zq7"), "{}", text);
    }
}
