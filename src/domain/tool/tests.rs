use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::ids::StepId;
use crate::runbook::{Binding, Bounds, Rollback, Step};

/// A lexer of Postgres' SQL, written from the manual (4.1, Lexical Structure) and not from the code under test.
mod lexer {
    /// A token with its meaning: what the server would take it for.
    #[derive(Debug, Clone, PartialEq)]
    pub enum Token {
        /// A bare word or number.
        Word(String),
        /// A quoted name, unquoted.
        Name(String),
        /// A string, unquoted.
        Text(String),
        /// Any other character.
        Sign(char),
        /// A comment, to the end of its line or of all.
        Comment,
        /// A quote without its end.
        Unclosed,
    }

    /// Tokens of `sql`; `conforming` is `standard_conforming_strings`.
    pub fn tokens(sql: &str, conforming: bool) -> Vec<Token> {
        let chars: Vec<char> = sql.chars().collect();
        let mut at = 0;
        let mut out = Vec::new();
        while at < chars.len() {
            let c = chars[at];
            if c.is_ascii_whitespace() {
                at += 1;
            } else if c == '-' && chars.get(at + 1) == Some(&'-') || c == '/' && chars.get(at + 1) == Some(&'*') {
                out.push(Token::Comment);
                return out;
            } else if c == '\'' || (c == 'E' || c == 'e') && chars.get(at + 1) == Some(&'\'') {
                let escapes = c != '\'' || !conforming;
                at += if c == '\'' { 1 } else { 2 };
                let Some((text, after)) = quoted(&chars, at, '\'', escapes) else {
                    out.push(Token::Unclosed);
                    return out;
                };
                out.push(Token::Text(text));
                at = after;
            } else if c == '"' {
                let Some((text, after)) = quoted(&chars, at + 1, '"', false) else {
                    out.push(Token::Unclosed);
                    return out;
                };
                out.push(Token::Name(text));
                at = after;
            } else if c.is_alphanumeric() || c == '_' {
                let from = at;
                while at < chars.len() && (chars[at].is_alphanumeric() || chars[at] == '_' || chars[at] == '$') {
                    at += 1;
                }
                out.push(Token::Word(chars[from..at].iter().collect()));
            } else {
                out.push(Token::Sign(c));
                at += 1;
            }
        }
        out
    }

    fn quoted(chars: &[char], mut at: usize, quote: char, escapes: bool) -> Option<(String, usize)> {
        let mut text = String::new();
        loop {
            let c = *chars.get(at)?;
            if escapes && c == '\\' {
                text.push(*chars.get(at + 1)?);
                at += 2;
            } else if c == quote && chars.get(at + 1) == Some(&quote) {
                text.push(quote);
                at += 2;
            } else if c == quote {
                return Some((text, at + 1));
            } else {
                text.push(c);
                at += 1;
            }
        }
    }
}

use lexer::{Token, tokens};

fn tool(template: &str, parameters: Value) -> Tool {
    serde_json::from_value(json!({
        "name": "probe", "kind": "remediation", "summary": "A tool for tests.",
        "template": template, "parameters": parameters, "builtin": true,
    }))
    .unwrap()
}

fn values(json: Value) -> BTreeMap<String, Value> {
    serde_json::from_value(json).unwrap()
}

fn identifier() -> Value {
    json!({"type": "identifier"})
}

/// Texts with everything that ends a quote somewhere.
fn hostile() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("'".to_owned()),
        Just("''".to_owned()),
        Just("\"".to_owned()),
        Just("\\".to_owned()),
        Just("\\'".to_owned()),
        Just("$$".to_owned()),
        Just("$q$".to_owned()),
        Just("--".to_owned()),
        Just("/*".to_owned()),
        Just("*/".to_owned()),
        Just(";".to_owned()),
        Just("\n".to_owned()),
        Just("\r".to_owned()),
        Just("\0".to_owned()),
        Just("{x}".to_owned()),
        Just("{y:literal}".to_owned()),
        Just("U&".to_owned()),
        Just("E'".to_owned()),
        Just(".".to_owned()),
        Just("\u{2019}\u{ff07}\u{2bc}\u{ff02}\u{201d}".to_owned()),
        Just("; DROP TABLE orders; --".to_owned()),
        any::<char>().prop_map(String::from),
        "[a-z_]{1,8}",
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn no_identifier_escapes_its_quotes(value in hostile(), conforming: bool) {
        let tool = tool("SELECT f({x:literal}, 7) FROM {x} WHERE true", json!({"x": identifier()}));
        tool.check().unwrap();
        match tool.render(&values(json!({"x": value}))) {
            Err(_) => prop_assert!(value.is_empty() || value.contains('\0') || value.len() > 63),
            Ok(sql) => {
                let mut expected = tokens("SELECT f('x', 7) FROM \"x\" WHERE true", conforming);
                expected[3] = Token::Text(value.clone());
                expected[8] = Token::Name(value.clone());
                prop_assert_eq!(tokens(&sql, conforming), expected, "{}", sql);
            }
        }
    }

    #[test]
    fn no_relation_escapes_its_quotes(value in hostile(), quote_first: bool, conforming: bool) {
        let value = if quote_first { format!("\"{}\"", value.replace('"', "\"\"")) } else { value };
        let tool = tool("VACUUM {x} ({x:literal})", json!({"x": {"type": "relation"}}));
        if let Ok(sql) = tool.render(&values(json!({"x": value}))) {
            let got = tokens(&sql, conforming);
            prop_assert_eq!(&got[0], &Token::Word("VACUUM".to_owned()));
            let names = got[1..].iter().take_while(|t| **t != Token::Sign('(')).collect::<Vec<_>>();
            prop_assert!(matches!(names[..], [Token::Name(_)] | [Token::Name(_), Token::Sign('.'), Token::Name(_)]), "{}", sql);
            // What the literal holds is, as SQL, the very same name.
            let rest = &got[1 + names.len()..];
            let [Token::Sign('('), Token::Text(inner), Token::Sign(')')] = rest else {
                return Err(TestCaseError::fail(sql));
            };
            let again = tokens(inner, conforming);
            prop_assert_eq!(again.iter().collect::<Vec<_>>(), names);
        }
    }

    #[test]
    fn no_column_and_no_word_escapes_its_quotes(list in prop::collection::vec(hostile(), 0..4), conforming: bool) {
        let columns = tool("CREATE INDEX i ON t ({x})", json!({"x": {"type": "columns"}}));
        if let Ok(sql) = columns.render(&values(json!({"x": list}))) {
            let mut expected = tokens("CREATE INDEX i ON t (", conforming);
            for (i, name) in list.iter().enumerate() {
                if i > 0 {
                    expected.push(Token::Sign(','));
                }
                expected.push(Token::Name(name.clone()));
            }
            expected.push(Token::Sign(')'));
            prop_assert_eq!(tokens(&sql, conforming), expected, "{}", sql);
        }
        // A hostile catalogue is no way in either.
        for word in list {
            let words = tool("ALTER ROLE r SET {x:name} = {x}", json!({"x": {"type": "enum", "values": [word]}}));
            if words.check().is_ok() {
                let sql = words.render(&values(json!({"x": word}))).unwrap();
                let mut expected = tokens("ALTER ROLE r SET", conforming);
                expected.extend([Token::Name(word.clone()), Token::Sign('='), Token::Text(word)]);
                prop_assert_eq!(tokens(&sql, conforming), expected, "{}", sql);
            }
        }
    }

    #[test]
    fn an_integer_or_an_interval_is_rendered_from_its_value_and_not_from_its_text(value in hostile()) {
        let given = values(json!({"x": value}));
        let number = tool("SELECT {x}", json!({"x": {"type": "integer", "min": -5, "max": 5}}));
        let refused = number.render(&given).is_err();
        prop_assert!(refused);
        let span = tool("SELECT {x}", json!({"x": {"type": "interval", "min": "1 ms", "max": "1 d"}}));
        if let Ok(sql) = span.render(&given) {
            let canonical = Interval::parse(&value).unwrap().to_string();
            prop_assert!(canonical.bytes().all(|b| b.is_ascii_alphanumeric()));
            prop_assert_eq!(sql, format!("SELECT '{canonical}'"));
        }
    }
}

#[test]
fn each_type_is_written_as_sql_wants_it() {
    let all = tool(
        "CALL f({n}, {word}, {span}, {name}, {name:literal}, {table}, {table:literal}, ({cols}), {word:name} )",
        json!({
            "n": {"type": "integer", "min": 1, "max": 500},
            "word": {"type": "enum", "values": ["default_pool_size"]},
            "span": {"type": "interval", "min": "1 s", "max": "1 d"},
            "name": identifier(), "table": {"type": "relation"}, "cols": {"type": "columns"},
        }),
    );
    all.check().unwrap();
    let sql = all.render(&values(json!({
        "n": 120, "word": "default_pool_size", "span": "300 seconds", "name": "it's \"odd\"",
        "table": "public.\"Or\"\"ders\"", "cols": ["customer_id", "created At"],
    })));
    assert_eq!(
        sql.unwrap(),
        "CALL f(120, 'default_pool_size', '5min', \"it's \"\"odd\"\"\", 'it''s \"odd\"', \"public\".\"Or\"\"ders\", \
         '\"public\".\"Or\"\"ders\"', (\"customer_id\", \"created At\"), \"default_pool_size\" )"
    );
}

#[test]
fn a_value_of_another_type_is_refused_and_the_error_names_the_parameter() {
    let number = tool("SELECT {n}", json!({"n": {"type": "integer", "min": 1, "max": 200}}));
    let error = |value: Value| number.render(&values(value)).unwrap_err().to_string();
    assert_eq!(error(json!({"n": 201})), "tool probe: parameter n: 201 is not between 1 and 200");
    assert_eq!(error(json!({"n": "12"})), "tool probe: parameter n: \"12\" is not a whole number");
    assert_eq!(error(json!({"n": 1.5})), "tool probe: parameter n: 1.5 is not a whole number");
    assert_eq!(error(json!({"n": null})), "tool probe: parameter n: null is not a whole number");
    assert_eq!(error(json!({})), "tool probe needs a value for parameter n (integer)");
    assert_eq!(error(json!({"n": 1, "m": 1})), "tool probe has no parameter m; it has n");
}

#[test]
fn a_relation_is_read_as_sql_reads_it_but_never_folded() {
    let table = tool("VACUUM {t}", json!({"t": {"type": "relation"}}));
    for (text, sql) in [
        ("orders", "VACUUM \"orders\""),
        ("public.orders", "VACUUM \"public\".\"orders\""),
        ("\"My.Schema\".\"T\"", "VACUUM \"My.Schema\".\"T\""),
        ("public.\"größe\"", "VACUUM \"public\".\"größe\""),
    ] {
        assert_eq!(table.render(&values(json!({"t": text}))).unwrap(), sql);
    }
    for text in
        ["", ".", "a.", ".a", "a.b.c", "Orders", "a b", "a;b", "\"a", "\"a\"b", "\"\"", "1a", "größe", "a.\"\"", "a-b"]
    {
        assert!(table.render(&values(json!({"t": text}))).is_err(), "{text}");
    }
}

#[test]
fn a_list_of_columns_has_names_each_once_and_not_too_many() {
    let index = tool("CREATE INDEX i ON t ({c})", json!({"c": {"type": "columns"}}));
    let many: Vec<String> = (0..33).map(|i| format!("c{i}")).collect();
    for bad in [json!([]), json!(["a", "a"]), json!(["a", 1]), json!("a, b"), json!(many), json!(["a".repeat(64)])] {
        assert!(index.render(&values(json!({"c": bad}))).is_err(), "{bad}");
    }
}

#[test]
fn a_name_that_postgres_would_cut_is_refused() {
    let drop = tool("DROP INDEX {i}", json!({"i": identifier()}));
    assert!(drop.render(&values(json!({"i": "ü".repeat(31)}))).is_ok());
    let error = drop.render(&values(json!({"i": "ü".repeat(32)}))).unwrap_err().to_string();
    assert!(error.contains("has 64 bytes, and Postgres keeps 63"), "{error}");
}

#[test]
fn a_catalogue_takes_the_tables_rows_and_refuses_an_unsound_one() {
    let row = |name: &str, template: &str, parameters: Value| json!({"name": name, "kind": "diagnostic", "summary": "s", "template": template, "parameters": parameters});
    let good = json!([row("a", "SELECT 1", json!({})), row("b", "SELECT {n} ", json!({"n": identifier()}))]);
    let catalogue: Catalogue = serde_json::from_value(good).unwrap();
    assert_eq!(catalogue.iter().map(|tool| tool.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    let span = json!({"type": "interval", "min": "2 h", "max": "1 h"});
    for bad in [
        json!([row("a", "SELECT 1", json!({})), row("a", "SELECT 2", json!({}))]),
        json!([row("a", "SELECT {n} ", json!({}))]),
        json!([row("a", "SELECT 1", json!({"n": identifier()}))]),
        json!([row("a", "SELECT '{n}'", json!({"n": identifier()}))]),
        json!([row("a", "SELECT {n:name} ", json!({"n": identifier()}))]),
        json!([row("a", "SELECT {n:literal} ", json!({"n": {"type": "columns"}}))]),
        json!([row("a", "SELECT {n} ", json!({"n": {"type": "text"}}))]),
        json!([row("a", "SELECT {n} ", json!({"n": {"type": "integer", "min": 1}}))]),
        json!([row("a", "SELECT {n} ", json!({"n": {"type": "integer", "min": 2, "max": 1}}))]),
        json!([row("a", "SELECT {n} ", json!({"n": {"type": "identifier", "max": 1}}))]),
        json!([row("a", "SELECT {n} ", json!({"n": {"type": "enum", "values": []}}))]),
        json!([row("a", "SELECT {n} ", json!({"n": span}))]),
        json!([row("a", "SELECT 1; SELECT 2", json!({}))]),
        json!([row("A", "SELECT 1", json!({}))]),
    ] {
        assert!(serde_json::from_value::<Catalogue>(bad.clone()).is_err(), "{bad}");
    }
}

fn pool_catalogue() -> Catalogue {
    let set = json!({
        "server": identifier(), "value": {"type": "integer", "min": 1, "max": 1000},
        "wait": {"type": "interval", "min": "1 s", "max": "1 h"},
        "setting": {"type": "enum", "values": ["default_pool_size", "reserve_pool_size"]},
    });
    Catalogue::new([tool("SELECT f({server:literal}, {setting}, {value}, {wait})", set)]).unwrap()
}

fn pool_step() -> Step {
    Step {
        id: StepId::new("RB-001/raise").unwrap(),
        tool: ToolName::new("probe").unwrap(),
        parameters: BTreeMap::from([
            ("server".to_owned(), Binding::Fixed(json!("pgbouncer"))),
            ("setting".to_owned(), one_of(json!(["default_pool_size"]))),
            ("value".to_owned(), range(json!(60), json!(120))),
            ("wait".to_owned(), range(json!("5 s"), json!("1 min"))),
        ]),
        destructive: false,
        guard: Some("SELECT true".to_owned()),
        verify: None,
        measure: None,
        rollback: None,
        follow_up: None,
    }
}

fn range(min: Value, max: Value) -> Binding {
    Binding::Open(Bounds { min: Some(min), max: Some(max), one_of: vec![] })
}

fn one_of(list: Value) -> Binding {
    Binding::Open(Bounds { min: None, max: None, one_of: list.as_array().unwrap().clone() })
}

/// The error for the step above with one thing changed.
fn refusal(change: impl FnOnce(&mut Step)) -> String {
    let mut step = pool_step();
    change(&mut step);
    validate_step(&step, &pool_catalogue()).unwrap_err().to_string()
}

fn with(name: &'static str, binding: Binding) -> impl FnOnce(&mut Step) {
    move |step| {
        step.parameters.insert(name.to_owned(), binding);
    }
}

#[test]
fn a_step_within_its_tool_is_accepted() {
    validate_step(&pool_step(), &pool_catalogue()).unwrap();
}

#[test]
fn a_step_that_does_not_fit_its_tool_is_refused_with_the_place_and_what_is_allowed() {
    assert_eq!(
        refusal(|step| step.tool = ToolName::new("rm").unwrap()),
        "step RB-001/raise: tool: there is no tool rm; there are probe"
    );
    assert_eq!(
        refusal(with("size", Binding::Fixed(json!(1)))),
        "step RB-001/raise: parameters.size: tool probe has no such parameter; it has server, setting, value, wait"
    );
    assert_eq!(
        refusal(|step| drop(step.parameters.remove("value"))),
        "step RB-001/raise: parameters.value: tool probe needs this parameter (integer): give a value, or min and max"
    );
    assert_eq!(
        refusal(with("value", Binding::Fixed(json!(1001)))),
        "step RB-001/raise: parameters.value: 1001 is not between 1 and 1000"
    );
    assert_eq!(
        refusal(with("value", Binding::Fixed(json!({"minimum": 1})))),
        "step RB-001/raise: parameters.value: {\"minimum\":1} is not a whole number"
    );
    assert_eq!(
        refusal(with("setting", Binding::Fixed(json!("auth_file")))),
        "step RB-001/raise: parameters.setting: \"auth_file\" is not one of default_pool_size, reserve_pool_size"
    );
}

#[test]
fn an_open_parameter_is_bounded_on_every_side_and_never_wider_than_the_tool() {
    let open = |min: Option<Value>, max: Option<Value>| Binding::Open(Bounds { min, max, one_of: vec![] });
    assert_eq!(
        refusal(with("value", open(Some(json!(1)), None))),
        "step RB-001/raise: parameters.value: an open parameter of type integer needs min and max"
    );
    assert_eq!(
        refusal(with("server", open(None, None))),
        "step RB-001/raise: parameters.server: an open parameter of type identifier needs one_of"
    );
    assert_eq!(
        refusal(with("value", range(json!(1), json!(1001)))),
        "step RB-001/raise: parameters.value: 1001 is not between 1 and 1000"
    );
    assert_eq!(
        refusal(with("wait", range(json!("5 s"), json!("2 h")))),
        "step RB-001/raise: parameters.wait: 2h is not between 1s and 1h"
    );
    assert_eq!(
        refusal(with("value", range(json!(9), json!(3)))),
        "step RB-001/raise: parameters.value: min 9 is above max 3"
    );
    assert_eq!(
        refusal(with("value", one_of(json!([1, 2])))),
        "step RB-001/raise: parameters.value: 'one_of' is no bound for type integer, which has min and max"
    );
    assert_eq!(
        refusal(with("setting", one_of(json!(["auth_file"])))),
        "step RB-001/raise: parameters.setting: \"auth_file\" is not one of default_pool_size, reserve_pool_size"
    );
}

#[test]
fn a_rollback_is_fixed_and_complete() {
    let rollback =
        |parameters: Value| Rollback { tool: ToolName::new("probe").unwrap(), parameters: values(parameters) };
    let whole = json!({"server": "p", "setting": "default_pool_size", "value": 50, "wait": "1 s"});
    let mut step = pool_step();
    step.rollback = Some(rollback(whole.clone()));
    validate_step(&step, &pool_catalogue()).unwrap();
    let mut open = whole.clone();
    open["value"] = json!({"min": 1, "max": 50});
    assert_eq!(
        refusal(|step| step.rollback = Some(rollback(open))),
        "step RB-001/raise: rollback.parameters.value: a rollback has fixed values only"
    );
    assert_eq!(
        refusal(|step| step.rollback = Some(rollback(json!({"server": "p", "setting": "default_pool_size"})))),
        "step RB-001/raise: rollback.parameters.value: tool probe needs this parameter (integer): give a value, or min and max"
    );
}

#[test]
fn a_guard_is_one_query() {
    for good in ["SELECT ';'", "with x as (select 1) select true from x", "\n  SELECT count(*) = 0 FROM t"] {
        let mut step = pool_step();
        step.guard = Some(good.to_owned());
        validate_step(&step, &pool_catalogue()).unwrap();
    }
    for bad in ["", "true", "SELECT true;", "SELECT 1; DROP TABLE t", "DELETE FROM t RETURNING true", "selected"] {
        assert!(refusal(|step| step.verify = Some(bad.to_owned())).contains(": verify: it must be one query"), "{bad}");
    }
}

#[test]
fn a_chosen_value_stays_within_the_step_even_where_the_tool_admits_more() {
    let (step, catalogue) = (pool_step(), pool_catalogue());
    let tool = catalogue.get(&step.tool).unwrap();
    let chosen = json!({"setting": "default_pool_size", "value": 100, "wait": "30 s"});
    let bound = bind(&step, tool, &values(chosen.clone())).unwrap();
    assert_eq!(tool.render(&bound).unwrap(), "SELECT f('pgbouncer', 'default_pool_size', 100, '30s')");
    let with = |key: &str, value: Value| {
        let mut chosen = chosen.clone();
        chosen[key] = value;
        bind(&step, tool, &values(chosen)).unwrap_err().to_string()
    };
    assert_eq!(
        with("value", json!(121)),
        "step RB-001/raise: parameters.value: 121 is outside the bounds of the step: 60 to 120"
    );
    assert_eq!(
        with("wait", json!("2 min")),
        "step RB-001/raise: parameters.wait: \"2 min\" is outside the bounds of the step: \"5 s\" to \"1 min\""
    );
    assert!(
        with("setting", json!("reserve_pool_size")).ends_with("outside the bounds of the step: \"default_pool_size\"")
    );
    assert!(with("server", json!("other")).ends_with("the runbook fixes this parameter"));
    assert!(with("port", json!(1)).ends_with("tool probe has no such parameter; it has server, setting, value, wait"));
    let none = bind(&step, tool, &BTreeMap::new()).unwrap_err().to_string();
    assert!(none.ends_with("the runbook leaves this parameter open, and no value was chosen"), "{none}");
}
