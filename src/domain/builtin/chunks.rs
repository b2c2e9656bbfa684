//! What of a runbook is embedded: the unit of retrieval is a section, or a part of a long one.

use super::tokens::split_identifiers;

/// The most characters of a section's text that one row holds, save where a section cannot be split better.
pub const LONGEST_SECTION: usize = 1_200;

/// The text of a section for the builtin embedder: the title three times, then the section's name and text.
///
/// The title is what an alert resembles most: leaving it out costs 17 points.
pub fn chunk_text(title: &str, section: &str, content: &str) -> String {
    format!("{title}\n{title}\n{title}\n{section}\n{content}")
}

/// The text of an alert for a model pod's embedder: its identifiers taken apart.
pub fn pod_query_text(query: &str) -> String {
    split_identifiers(query)
}

/// The text of a section for a model pod's embedder: the title once, its identifiers taken apart; the rest untouched.
pub fn pod_passage_text(title: &str, section: &str, content: &str) -> String {
    format!("{}\n{section}\n{content}", split_identifiers(title))
}

/// `content` in parts of at most [`LONGEST_SECTION`] characters, split at the ends of paragraphs.
///
/// A paragraph that is longer is split at the ends of lines; a longer line at a space, or at last between any two
/// characters. The parts lie within `content`, in order, with nothing but white space between them. Short content, and
/// so empty content too, is one part as it stands.
pub fn split_section(content: &str) -> Vec<&str> {
    if fits(content) {
        return vec![content];
    }
    let mut parts = Vec::new();
    let mut rest = content.trim();
    while !fits(rest) {
        let (part, after) = rest.split_at(cut(rest));
        parts.push(part.trim_end());
        rest = after.trim_start();
    }
    if !rest.is_empty() {
        parts.push(rest);
    }
    parts
}

fn fits(text: &str) -> bool {
    text.len() <= LONGEST_SECTION || text.chars().nth(LONGEST_SECTION).is_none()
}

/// Where to cut a text that does not fit, as late as it may be; never 0, as the text begins with no white space.
fn cut(text: &str) -> usize {
    let limit = text.char_indices().nth(LONGEST_SECTION).map_or(text.len(), |(at, _)| at);
    // White space just at the limit still leaves a part that fits.
    let ends_at_limit = text[limit..].starts_with(|c: char| c.is_ascii_whitespace());
    let head = &text[..limit + usize::from(ends_at_limit)];
    let next_line_is_blank =
        |at: usize| text[at + 1..].chars().find(|c| *c == '\n' || !c.is_whitespace()).is_none_or(|c| c == '\n');
    let paragraph = head.rmatch_indices('\n').map(|(at, _)| at).find(|at| next_line_is_blank(*at));
    paragraph.or_else(|| head.rfind('\n')).or_else(|| head.rfind(|c: char| c.is_ascii_whitespace())).unwrap_or(limit)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_section_is_split_at_the_last_paragraph_that_fits() {
        let (first, second, third) = ("a ".repeat(300), "b ".repeat(250), "c ".repeat(200));
        let content = format!("{first}\n\n{second}\n \n{third}");
        let together = format!("{first}\n\n{second}");
        assert_eq!(split_section(&content), [together.trim_end(), third.trim_end()]);
    }

    #[test]
    fn a_paragraph_that_is_too_long_is_split_at_a_line_then_at_a_space_then_anywhere() {
        let lines = format!("{}\n{}", "a".repeat(900), "b".repeat(900));
        assert_eq!(split_section(&lines), ["a".repeat(900), "b".repeat(900)]);
        let words = format!("{} {}", "a".repeat(900), "b".repeat(900));
        assert_eq!(split_section(&words), ["a".repeat(900), "b".repeat(900)]);
        let letters = "é".repeat(2_000);
        assert_eq!(split_section(&letters), ["é".repeat(1_200), "é".repeat(800)]);
    }

    #[test]
    fn content_of_1200_characters_is_one_part_as_it_stands() {
        let content = format!("  {}\n", "é".repeat(1_197));
        assert_eq!(split_section(&content), [content.as_str()]);
        assert_eq!(split_section(""), [""]);
    }

    #[test]
    fn the_title_stands_three_times_before_section_and_content() {
        assert_eq!(chunk_text("T", "S", "C"), "T\nT\nT\nS\nC");
    }

    #[test]
    fn a_pod_gets_title_and_query_with_identifiers_taken_apart_and_the_body_untouched() {
        assert_eq!(pod_query_text("KubePod pg_stat"), "Kube Pod pg stat");
        assert_eq!(pod_passage_text("KubePod", "pg_stat", "pg_stat KubePod"), "Kube Pod\npg_stat\npg_stat KubePod");
    }

    proptest! {
        #[test]
        fn splitting_loses_only_white_space_and_no_part_is_too_long(content in "(?s)([a-é ]{0,900}\n{0,3}){0,8}") {
            let parts = split_section(&content);
            let solid = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
            prop_assert_eq!(solid(&parts.concat()), solid(&content));
            prop_assert!(parts.iter().all(|part| part.chars().count() <= LONGEST_SECTION));
        }
    }
}
