//! Headers for the application that the operator invents: `custom-request-headers`.

use portcullis_config::Csv;
use thiserror::Error;

/// Headers that may be configured: a module's reply is short.
const MOST: usize = 16;

/// The configured headers, their values taken apart.
#[derive(Clone, Debug, Default)]
pub struct Templates(Vec<(String, Vec<Part>)>);

#[derive(Clone, Debug)]
enum Part {
    Text(String),
    Response,
    Id,
    Tags,
}

/// What the values stand for in one answer.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The agent response code.
    pub code: i32,
    /// The request's id, or empty.
    pub id: &'a str,
    /// The tags' names, separated by commas.
    pub tags: &'a str,
}

/// Why a header can not be sent.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TemplateError {
    /// There is no colon, or nothing before it that is a header's name.
    #[error("custom-request-headers: {text:?} is not NAME:VALUE")]
    Form {
        /// As configured.
        text: String,
    },
    /// There are too many.
    #[error("custom-request-headers: more than {limit} headers")]
    TooMany {
        /// The limit.
        limit: usize,
    },
}

impl Templates {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Reads the option.
    ///
    /// # Errors
    ///
    /// When an item is not a header.
    pub fn new(option: &Csv) -> Result<Self, TemplateError> {
        if option.0.len() > MOST {
            return Err(TemplateError::TooMany { limit: MOST });
        }
        option.0.iter().map(|item| header(item)).collect::<Result<_, _>>().map(Self)
    }

    /// The headers of one answer; one whose value comes out empty is left out.
    pub fn fill(&self, facts: Facts<'_>) -> Vec<(String, String)> {
        let value = |parts: &Vec<Part>| {
            parts.iter().fold(String::new(), |mut value, part| {
                match part {
                    Part::Text(text) => value.push_str(text),
                    Part::Response => value.push_str(&facts.code.to_string()),
                    Part::Id => value.push_str(facts.id),
                    Part::Tags => value.push_str(facts.tags),
                }
                value
            })
        };
        let filled = self.0.iter().map(|(name, parts)| (name.clone(), value(parts)));
        filled.filter(|(_, value)| !value.is_empty()).collect()
    }
}

fn header(item: &str) -> Result<(String, Vec<Part>), TemplateError> {
    let error = || TemplateError::Form { text: item.to_owned() };
    let (name, value) = item.split_once(':').ok_or_else(error)?;
    let (name, value) = (name.trim(), value.trim());
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || !name.bytes().all(is_name) || value.bytes().any(|byte| byte < b' ' || byte == 0x7f)
    {
        return Err(error());
    }
    Ok((name.to_owned(), parts(value)))
}

fn parts(value: &str) -> Vec<Part> {
    const VARIABLES: [(&str, Part); 3] =
        [("$AgentResponse", Part::Response), ("$RequestID", Part::Id), ("$TagList", Part::Tags)];
    let mut parts = Vec::new();
    let mut rest = value;
    while !rest.is_empty() {
        let found = VARIABLES.iter().find_map(|(name, part)| Some((rest.strip_prefix(name)?, part.clone())));
        if let Some((after, part)) = found {
            parts.push(part);
            rest = after;
            continue;
        }
        let end = rest.char_indices().skip(1).find(|(_, c)| *c == '$').map_or(rest.len(), |(at, _)| at);
        let (text, after) = rest.split_at(end);
        parts.push(Part::Text(text.to_owned()));
        rest = after;
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn templates(items: &[&str]) -> Result<Templates, TemplateError> {
        Templates::new(&Csv(items.iter().map(|&item| item.to_owned()).collect()))
    }

    #[test]
    fn fills_in_what_the_variables_stand_for() {
        let templates =
            templates(&["X-Waf: code=$AgentResponse id=$RequestID", "X-Tags:$TagList", "X-Price:5$"])
                .unwrap();
        let filled = templates.fill(Facts { code: 406, id: "abc", tags: "SQLI,XSS" });
        let expected = [("X-Waf", "code=406 id=abc"), ("X-Tags", "SQLI,XSS"), ("X-Price", "5$")];
        assert_eq!(filled, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
        let clean = templates.fill(Facts { code: 200, id: "", tags: "" });
        assert_eq!(clean.len(), 2);
    }

    #[test]
    fn refuses_what_is_no_header() {
        for item in ["", "name", ":value", "a b:c", "a:b\nc"] {
            assert!(matches!(templates(&[item]), Err(TemplateError::Form { .. })), "{item}");
        }
        assert!(matches!(templates(&["a:b"; 17]), Err(TemplateError::TooMany { .. })));
    }
}
