//! The embeddings endpoint: what goes out, and what a vector must be to come in.

mod base64;
mod vector;

use oncall_domain::host::ModelError;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::fault::unusable;
use vector::Floats;

/// What a text is to an asymmetric model, which embeds questions and answers differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// What is searched with: an alert.
    Query,
    /// What is searched for: a section of a runbook.
    Passage,
}

/// The vectors of some texts, in their order.
#[derive(Debug, Clone, PartialEq)]
pub struct Embeddings {
    /// One vector a text, all of one length, finite, none of them all zeros.
    pub vectors: Vec<Vec<f32>>,
    /// The model, by the server's word, or as configured where it says none.
    pub model: String,
    /// Tokens of all texts, where the server counts them.
    pub tokens: Option<u32>,
}

/// The body of a request. Neither `dimensions` nor `input_type`: some servers ignore them without a word.
pub(crate) fn body(texts: &[String], prefix: &str, model: Option<&str>) -> Value {
    let mut body = Map::new();
    if let Some(model) = model {
        body.insert("model".to_owned(), model.into());
    }
    body.insert("input".to_owned(), texts.iter().map(|text| format!("{prefix}{text}")).collect());
    Value::Object(body)
}

/// One batch as the server answered it.
#[derive(Debug, PartialEq)]
pub(crate) struct Batch {
    pub vectors: Vec<Vec<f32>>,
    pub model: Option<String>,
    pub tokens: Option<u32>,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    data: Vec<Item>,
    model: Option<String>,
    usage: Option<Usage>,
}

#[derive(Deserialize)]
struct Item {
    index: Option<usize>,
    embedding: Floats,
}

#[derive(Deserialize)]
struct Usage {
    prompt_tokens: Option<u32>,
    total_tokens: Option<u32>,
}

/// Read the vectors of `count` texts. `dimension` is the column's; without one, they must agree with each other.
pub(crate) fn read(body: &[u8], count: usize, dimension: Option<usize>) -> Result<Batch, ModelError> {
    let answer: Answer =
        serde_json::from_slice(body).map_err(|e| unusable(format!("not a list of embeddings: {e}")))?;
    if answer.data.len() != count {
        return Err(unusable(format!("{} embeddings for {count} texts", answer.data.len())));
    }
    let mut vectors = vec![Vec::new(); count];
    for (position, item) in answer.data.into_iter().enumerate() {
        // The order of the list is not promised; the index is. A server that sends none means the position.
        let index = item.index.unwrap_or(position);
        let place = vectors.get_mut(index).filter(|place| place.is_empty());
        let place = place.ok_or_else(|| unusable(format!("the index {index} is out of range or comes twice")))?;
        check(&item.embedding.0)?;
        *place = item.embedding.0;
    }
    let expected = dimension.or_else(|| vectors.first().map(Vec::len)).unwrap_or_default();
    if let Some(odd) = vectors.iter().find(|vector| vector.len() != expected) {
        return Err(ModelError::WrongDimension { expected, got: odd.len() });
    }
    let tokens = answer.usage.and_then(|usage| usage.prompt_tokens.or(usage.total_tokens));
    Ok(Batch { vectors, model: answer.model, tokens })
}

/// A vector that cannot be searched with is worse than none: no distance to it is a number.
fn check(vector: &[f32]) -> Result<(), ModelError> {
    if vector.is_empty() {
        return Err(unusable("an embedding is empty"));
    }
    if !vector.iter().all(|x| x.is_finite()) {
        return Err(unusable("an embedding holds a value that is not finite"));
    }
    if vector.iter().all(|x| *x == 0.0) {
        return Err(unusable("an embedding is all zeros, so it points nowhere"));
    }
    // pgvector sums the squares in f32. Where that overflows or vanishes, a cosine is no number.
    if !vector.iter().map(|x| x * x).sum::<f32>().is_normal() {
        return Err(unusable("an embedding is too long or too short for its cosine to be a number"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(result: Result<Batch, ModelError>) -> String {
        match result {
            Err(ModelError::Unusable { reason }) => reason,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn vectors_are_ordered_by_index_and_not_by_their_place_in_the_list() {
        let body = br#"{"model":"m","usage":{"prompt_tokens":6,"total_tokens":6},
            "data":[{"index":1,"embedding":[0.5,1]},{"index":0,"embedding":[-1,2e-3],"object":"embedding"}]}"#;
        let batch = read(body, 2, Some(2)).unwrap();
        assert_eq!(batch.vectors, [[-1.0, 0.002], [0.5, 1.0]]);
        assert_eq!((batch.model.as_deref(), batch.tokens), (Some("m"), Some(6)));
    }

    #[test]
    fn base64_is_little_endian_floats() {
        let batch = read(br#"{"data":[{"embedding":"AACAPwAAAMA="}]}"#, 1, Some(2)).unwrap();
        assert_eq!(batch.vectors, [[1.0, -2.0]]);
        for bad in ["AACAPwA=", "AACAP!AAAMA=", "AACAPwAAAM", "===="] {
            let said = reason(read(format!(r#"{{"data":[{{"embedding":"{bad}"}}]}}"#).as_bytes(), 1, None));
            assert!(said.contains("base64"), "{bad}: {said}");
        }
    }

    #[test]
    fn a_wrong_length_says_both_lengths() {
        let body = br#"{"data":[{"index":0,"embedding":[1,2,3]}]}"#;
        assert_eq!(read(body, 1, Some(4)), Err(ModelError::WrongDimension { expected: 4, got: 3 }));
        let mixed = br#"{"data":[{"embedding":[1,2,3]},{"embedding":[1,2]}]}"#;
        assert_eq!(read(mixed, 2, None), Err(ModelError::WrongDimension { expected: 3, got: 2 }));
    }

    #[test]
    fn vectors_that_nothing_can_be_compared_with_are_refused() {
        for (vector, why) in [
            ("[]", "empty"),
            (r#""""#, "empty"),
            ("[0,0]", "zeros"),
            ("[1,1e39]", "not finite"),
            (r#""AADAfw==""#, "not finite"),
            ("[1,null]", "not a list of embeddings"),
            ("[1,NaN]", "not a list of embeddings"),
            ("[[1,2]]", "not a list of embeddings"),
            ("null", "not a list of embeddings"),
        ] {
            let said = reason(read(format!(r#"{{"data":[{{"index":0,"embedding":{vector}}}]}}"#).as_bytes(), 1, None));
            assert!(said.contains(why), "{vector}: {said}");
        }
    }

    #[test]
    fn each_text_has_exactly_one_vector() {
        for body in [
            r#"{"data":[]}"#,
            r#"{}"#,
            r#"{"data":[{"index":0,"embedding":[1]}]}"#,
            r#"{"data":[{"index":0,"embedding":[1]},{"index":0,"embedding":[2]}]}"#,
            r#"{"data":[{"index":0,"embedding":[1]},{"index":2,"embedding":[2]}]}"#,
        ] {
            reason(read(body.as_bytes(), 2, None));
        }
    }

    #[test]
    fn the_prefix_of_an_asymmetric_model_goes_before_each_text() {
        let texts = ["pool exhausted".to_owned(), "disk full".to_owned()];
        assert_eq!(
            body(&texts, "query: ", Some("e5")),
            serde_json::json!({"model": "e5", "input": ["query: pool exhausted", "query: disk full"]})
        );
    }
}
