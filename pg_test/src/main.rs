//! `cargo demo` and `cargo verify`: see `.cargo/config.toml`.

use std::process::ExitCode;

use pg_test::{Result, bench, crash, demo, evaluate, setup, verify};

const USAGE: &str = "\
usage: pg_test COMMAND
  demo         install what is missing, let three incidents happen on a private server, and handle them
  demo stop    stop the demo's server and remove its files
  verify       run every check and test
  verify sql   run the SQL regression tests only
  setup        only install and build
  crash [short] [--seed N]
               kill the workers and the server at random under load, and see that nothing is lost or done twice
  evaluate FOLDER [--json FILE]
               measure the builtin model on labelled alerts and runbooks
  bench [quick] [embedder|alerts|cancel|inbox|storm|pump|search] [--json FILE]
               measure what an alert costs, the search, the embedder and a cancel";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["demo"] => demo::run(),
        ["demo", "stop"] => demo::stop(),
        ["verify"] => verify::run(),
        ["verify", "sql"] => verify::sql(),
        ["setup"] => set_up(),
        ["evaluate", folder, options @ ..] => evaluate::run(folder, options),
        ["bench", words @ ..] => bench::command(words),
        ["crash", words @ ..] => crash::command(words),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\npg_test: {error}");
            ExitCode::FAILURE
        }
    }
}

fn set_up() -> Result<()> {
    let tree = setup::prepare()?;
    println!("Ready: {}", tree.root().display());
    Ok(())
}
