//! How secrets begin. To know one more kind, add a line to [`HEADS`], and a test.

use std::sync::LazyLock;

/// What a replacement starts with; the kind and `]` follow.
pub(super) const MARKER_START: &str = "[redacted: ";

/// What an earlier pass left.
pub(super) const MARKER_PATTERN: &str = r"\[redacted: [A-Za-z -]{1,24}\]";

/// How a secret begins, and how far it reaches.
pub(super) struct Head {
    /// What is written in its place: letters, spaces and '-' only.
    pub kind: &'static str,
    /// An expression of bounded length, without groups that capture. A word in braces stands for one of the lists of
    /// names above.
    pattern: &'static str,
    /// What of the text is the secret.
    pub reach: Reach,
}

/// What of the text is the secret, given its head.
pub(super) enum Reach {
    /// The head, and the letters, digits and `more` that follow.
    Itself { more: &'static [u8] },
    /// The head without its first and last bytes.
    Inside { before: usize, behind: usize },
    /// The value that follows, quoted or bare.
    Value,
    /// What follows to the closing quote; the head ends with the opening one.
    Quoted,
    /// What follows to the closing dollar quote; the head ends with the opening one.
    Dollar,
    /// What follows, to the end of the line or of the quoted text that it stands in.
    Line,
    /// The word that follows, if it is this long and has both letters and digits.
    LongWord { least: usize },
    /// The password that follows, to the `@` of the URL.
    UserInfo,
    /// The local part before and the domain, which is the head.
    LocalPart,
    /// What stands between a colon and the head.
    BeforeAt,
    /// The lines that follow, to the END line.
    Block,
}

impl Reach {
    /// Whether it reads back from the head.
    pub(super) fn is_backward(&self) -> bool {
        matches!(self, Self::LocalPart | Self::BeforeAt)
    }
}

const PASSWORD_NAMES: &str = r"pass(?:word|wd|wort|phrase|code)s?|pwd|(?:(?-u:\b)|_)pass";
const TOKEN_NAMES: &str = r"token";
const KEY_NAMES: &str =
    r"(?:api|access|account|private|signing|encryption|master|routing|integration|service|license|shared)[_-]?keys?";
const SECRET_WORDS: &str = r"secret[_-]?(?:access[_-]?)?keys?|secrets?|credentials?";

/// The heads, in the order in which they are tried where two begin at the same place.
pub(super) static HEADS: &[Head] = &[
    Head {
        kind: "private key",
        pattern: r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----",
        reach: Reach::Block,
    },
    Head {
        kind: "authorization",
        pattern: r#"(?i:authorization["'\]]?[ \t]{0,4}[:=][ \t]{0,4}["']?(?:(?:bearer|basic|token|digest|apikey)[ \t]{1,4})?)"#,
        reach: Reach::Line,
    },
    Head {
        kind: "cookie",
        pattern: r#"(?i:(?-u:\b)(?:set-)?cookie["']?[ \t]{0,4}[:=][ \t]{0,4}["']?)"#,
        reach: Reach::Line,
    },
    Head {
        kind: "authorization",
        pattern: r"(?i:(?-u:\b)(?:bearer|basic)[ \t]{1,4})",
        reach: Reach::LongWord { least: 16 },
    },
    // SQL, as it stands in pg_stat_activity and in logs.
    Head { kind: "password", pattern: r"(?i:password[ \t\r\n]{1,8}(?:e|u&)?')", reach: Reach::Quoted },
    Head { kind: "password", pattern: r"(?i:password[ \t\r\n]{1,8}\$[a-z_]{0,16}\$)", reach: Reach::Dollar },
    Head {
        kind: "password",
        pattern: r"(?i:identified[ \t\r\n]{1,8}by[ \t\r\n]{1,8}(?:password[ \t\r\n]{1,8})?)",
        reach: Reach::Value,
    },
    // Names and their values.
    Head { kind: "password", pattern: "{PASSWORD}", reach: Reach::Value },
    Head { kind: "token", pattern: "{TOKEN}", reach: Reach::Value },
    Head { kind: "key", pattern: "{KEY}", reach: Reach::Value },
    Head { kind: "secret", pattern: "{SECRET}", reach: Reach::Value },
    Head {
        kind: "password",
        pattern: r"(?-u:\b)curl [^\n]{0,80}?(?:-u|--user)[ =]{1,2}[^ \t\r\n:]{1,64}:",
        reach: Reach::Value,
    },
    // Tokens that say themselves what they are.
    Head { kind: "AWS key", pattern: r"(?-u:\b)(?:AKIA|ASIA)[A-Z0-9]{16}", reach: Reach::Itself { more: b"" } },
    Head {
        kind: "GitHub token",
        pattern: r"(?:gh[pousr]_|github_pat_)[A-Za-z0-9_]{20}",
        reach: Reach::Itself { more: b"_" },
    },
    Head { kind: "GitLab token", pattern: r"glpat-[A-Za-z0-9_-]{20}", reach: Reach::Itself { more: b"_-" } },
    Head {
        kind: "Slack token",
        pattern: r"(?-u:\b)(?:xox[abeoprs]-|xapp-)[A-Za-z0-9-]{10}",
        reach: Reach::Itself { more: b"-" },
    },
    Head {
        kind: "webhook",
        pattern: r"(?:hooks\.slack\.com/(?:services|workflows|triggers)/|discord(?:app)?\.com/api/webhooks/|\.webhook\.office\.com/)[A-Za-z0-9]",
        reach: Reach::Itself { more: b"/_-@" },
    },
    Head {
        kind: "key",
        pattern: r"(?-u:\b)(?:sk|rk|pk)[-_](?:live_|test_|proj-|ant-)?[A-Za-z0-9_-]{20}|(?-u:\b)AIza[A-Za-z0-9_-]{35}|(?-u:\b)(?:npm|hf)_[A-Za-z0-9]{30}|(?-u:\b)hvs\.[A-Za-z0-9_-]{20}",
        reach: Reach::Itself { more: b"_-" },
    },
    // `{"` in base64: the first part of a JSON Web Token.
    Head { kind: "JWT", pattern: r"(?-u:\b)eyJ[A-Za-z0-9_-]{12}", reach: Reach::Itself { more: b"_-." } },
    Head { kind: "password hash", pattern: r"SCRAM-SHA-256\$[0-9]{1,9}:", reach: Reach::Itself { more: b"+/=$:" } },
    Head { kind: "password hash", pattern: r"(?-u:\b)md5[0-9a-f]{32}(?-u:\b)", reach: Reach::Itself { more: b"" } },
    Head {
        kind: "key",
        pattern: r#"(?i:key["'\]]?[ \t]{0,4}[:=][ \t]{0,4}["']?)"#,
        reach: Reach::LongWord { least: 32 },
    },
    // URLs and data source names.
    Head { kind: "key", pattern: r"://[A-Za-z0-9_-]{20,128}@", reach: Reach::Inside { before: 3, behind: 1 } },
    Head { kind: "password", pattern: r#"(?i:[a-z0-9]://[^ \t\r\n:/@"'<>]{0,64}:)"#, reach: Reach::UserInfo },
    Head { kind: "password", pattern: r"@(?:tcp|unix)\(", reach: Reach::BeforeAt },
    // Found by its domain and read backwards: an expression that starts with the local part would read a long word
    // again and again.
    Head { kind: "e-mail address", pattern: r"@(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}", reach: Reach::LocalPart },
];

/// What may follow a name that ends in a secret's: `password_hash`, `token2`, but not `password_encryption`.
const SUFFIX: &str = "(?:[_-]?(?:hash|value|string|text|base64|[0-9]{1,3}))?";

/// What lies between a name and its value: quotes of JSON, brackets of a form, a cast, and `=`, `:` or the like; or the
/// next entry, in the way of a container's environment (`name: X`, `value: …`).
const BETWEEN: &str = r#"(?:\\{0,4}["'\]]?|%5D)(?:::[a-z]{1,20})?[ \t]{0,4}(?:={1,3}|:=|=>|!=|<>|:|,?[ \t\r\n]{1,40}["']?value["']?[ \t]{0,4}:|,["']value["'][ \t]{0,4}:)>?[ \t]{0,4}"#;

/// Every head as one expression; the number of the group that matched is that of the head, plus one.
pub(super) static EXPRESSION: LazyLock<String> = LazyLock::new(|| {
    let named = |names: &str| format!("(?i:(?:{names}){SUFFIX}(?:{BETWEEN})|--[a-z-]{{0,30}}(?:{names})[ \\t]{{1,4}})");
    let groups: Vec<String> = HEADS
        .iter()
        .map(|head| match head.pattern {
            "{PASSWORD}" => named(PASSWORD_NAMES),
            "{TOKEN}" => named(TOKEN_NAMES),
            "{KEY}" => named(KEY_NAMES),
            "{SECRET}" => named(SECRET_WORDS),
            pattern => pattern.to_owned(),
        })
        .map(|pattern| format!("({pattern})"))
        .collect();
    groups.join("|")
});

/// Names of labels and settings whose values are secrets.
pub(super) static SECRET_NAMES: LazyLock<String> = LazyLock::new(|| {
    format!("(?i)(?:(?:{PASSWORD_NAMES}|{TOKEN_NAMES}|{KEY_NAMES}|{SECRET_WORDS}){SUFFIX}|authorization|cookie)$")
});
