//! Words that say nothing of what an alert or a runbook is about.
//!
//! Prepositions of order and time (`after`, `before`, `between`) are not among them: runbooks use them with meaning.

/// Whether `word`, in lower case and before stemming, is a stop word.
pub fn is_stop_word(word: &[u8]) -> bool {
    WORDS.binary_search_by(|stop| stop.as_bytes().cmp(word)).is_ok()
}

/// In the order of their bytes, for the binary search.
#[rustfmt::skip]
const WORDS: &[&str] = &[
    "all", "also", "am", "an", "and", "any", "are", "as", "at", "be", "been", "being", "both", "but", "by", "can",
    "could", "did", "do", "does", "each", "else", "for", "from", "had", "has", "have", "having", "he", "her",
    "hers", "him", "his", "how", "if", "in", "into", "is", "isn", "it", "its", "itself", "ll", "may", "me", "more",
    "most", "my", "no", "not", "of", "off", "on", "only", "or", "other", "our", "ours", "out", "over", "own",
    "same", "see", "shall", "she", "should", "so", "some", "such", "than", "that", "the", "their", "theirs", "them",
    "then", "there", "these", "they", "this", "those", "to", "too", "under", "until", "up", "use", "used", "using",
    "ve", "very", "via", "was", "we", "were", "what", "when", "where", "which", "while", "who", "whom", "whose",
    "why", "will", "with", "would", "you", "your", "yours", "yourself",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_in_order_so_that_every_word_of_it_is_found() {
        assert!(WORDS.is_sorted());
        assert!(WORDS.iter().all(|word| is_stop_word(word.as_bytes())));
    }

    #[test]
    fn words_that_carry_meaning_in_an_alert_are_no_stop_words() {
        for word in ["down", "high", "slow", "full", "after", "without", "one", "lag"] {
            assert!(!is_stop_word(word.as_bytes()), "{word}");
        }
    }
}
