//! Fills the placeholders of a template.

/// `template` with each `{{name}}` replaced by its value.
///
/// One pass over the template: a value is never looked at, so text from outside that holds `{{steps}}` stays what it
/// is. A name that has no value stays as it is too; a test fills every template there is and finds none.
pub(super) fn fill(template: &str, values: &[(&str, &str)]) -> String {
    let mut filled = String::with_capacity(template.len() + values.iter().map(|(_, v)| v.len()).sum::<usize>());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        filled.push_str(before);
        let found = after.split_once("}}").and_then(|(name, tail)| {
            let (_, value) = values.iter().find(|(known, _)| *known == name)?;
            Some((value, tail))
        });
        match found {
            Some((value, tail)) => {
                filled.push_str(value);
                rest = tail;
            }
            None => {
                filled.push_str("{{");
                rest = after;
            }
        }
    }
    filled.push_str(rest);
    filled
}

#[cfg(test)]
mod tests {
    use super::fill;

    #[test]
    fn a_placeholder_inside_a_value_is_not_filled() {
        assert_eq!(fill("{{a}}-{{b}}", &[("a", "{{b}}"), ("b", "{{a}}")]), "{{b}}-{{a}}");
    }

    #[test]
    fn what_is_no_placeholder_stays() {
        assert_eq!(fill("{{c}} {{ {a} }} {{a", &[("a", "1")]), "{{c}} {{ {a} }} {{a");
    }
}
