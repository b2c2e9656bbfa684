//! How a server is told the shape of the answer. They differ, so it is a setting of the model.

use serde_json::{Map, Value, json};

/// The way to ask for a structured answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Dialect {
    /// `response_format` of type `json_schema`: vLLM, NIM, KServe, llama.cpp, Ollama's `/v1`, OpenAI.
    #[default]
    JsonSchema,
    /// `response_format` of type `json_object` with the schema in it: llama-cpp-python; llama.cpp takes it too.
    JsonObjectSchema,
    /// `guided_json` at the top level: NIM, and vLLM before it had `response_format`.
    GuidedJson,
    /// Nothing but words: for a server that refuses all of the above. The schema stands in the system message.
    None,
}

impl Dialect {
    /// The fields that go into the request beside the messages.
    pub(crate) fn fields(self, name: &str, schema: &Value) -> Map<String, Value> {
        let schema = bare(schema);
        let (field, value) = match self {
            Self::JsonSchema => (
                "response_format",
                json!({"type": "json_schema", "json_schema": {"name": name, "strict": true, "schema": schema}}),
            ),
            Self::JsonObjectSchema => ("response_format", json!({"type": "json_object", "schema": schema})),
            Self::GuidedJson => ("guided_json", schema),
            Self::None => return Map::new(),
        };
        Map::from_iter([(field.to_owned(), value)])
    }

    /// The system message, with the schema in words where no field carries it.
    pub(crate) fn system(self, system: &str, schema: &Value) -> String {
        match self {
            Self::None => format!("{system}\n\n{}{}", include_str!("schema.md"), bare(schema)),
            _ => system.to_owned(),
        }
    }
}

/// The schema without `$schema`: it names the standard, constrains nothing, and strict servers refuse unknown keys.
fn bare(schema: &Value) -> Value {
    let mut schema = schema.clone();
    if let Some(object) = schema.as_object_mut() {
        object.remove("$schema");
    }
    schema
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema() -> Value {
        json!({"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object"})
    }

    #[test]
    fn each_dialect_sends_the_schema_where_its_servers_look_for_it() {
        let bare = json!({"type": "object"});
        let fields = |dialect: Dialect| Value::Object(dialect.fields("triage", &schema()));
        assert_eq!(
            fields(Dialect::JsonSchema),
            json!({"response_format": {"type": "json_schema",
                   "json_schema": {"name": "triage", "strict": true, "schema": bare}}})
        );
        assert_eq!(
            fields(Dialect::JsonObjectSchema),
            json!({"response_format": {"type": "json_object", "schema": bare}})
        );
        assert_eq!(fields(Dialect::GuidedJson), json!({"guided_json": bare}));
        assert_eq!(fields(Dialect::None), json!({}));
    }

    #[test]
    fn the_schema_stands_in_words_only_where_no_field_carries_it() {
        assert_eq!(Dialect::JsonSchema.system("Triage.", &schema()), "Triage.");
        let words = Dialect::None.system("Triage.", &schema());
        assert!(words.starts_with("Triage.\n\nAnswer with one JSON object"), "{words}");
        assert!(words.ends_with(r#"{"type":"object"}"#), "{words}");
    }
}
