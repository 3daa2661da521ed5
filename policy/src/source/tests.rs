use super::*;

fn json(text: &str) -> Node {
    Source { name: "policy.json", text }.parse().unwrap()
}

fn yaml(text: &str) -> Node {
    Source { name: "policy.yaml", text }.parse().unwrap()
}

fn fault(name: &str, text: &str) -> String {
    Source { name, text }.parse().unwrap_err().to_string()
}

fn at<'a>(node: &'a Node, path: &[&str]) -> &'a Node {
    path.iter().fold(node, |node, step| match &node.kind {
        Kind::Map(pairs) => &pairs.iter().find(|(key, _)| key.name == *step).unwrap().1,
        Kind::List(items) => &items[step.parse::<usize>().unwrap()],
        other => panic!("{other:?} has no {step}"),
    })
}

/// The tree without places.
fn bare(node: &Node) -> serde_json::Value {
    match &node.kind {
        Kind::Null => serde_json::Value::Null,
        Kind::Bool(value) => (*value).into(),
        Kind::Int(value) => (*value).into(),
        Kind::Float(value) => (*value).into(),
        Kind::Text(value) => value.as_str().into(),
        Kind::List(items) => items.iter().map(bare).collect::<Vec<_>>().into(),
        Kind::Map(pairs) => serde_json::Value::Object(
            pairs.iter().map(|(key, value)| (key.name.clone(), bare(value))).collect(),
        ),
    }
}

#[test]
fn json_and_yaml_give_the_same_tree() {
    let text = r#"{"a": [1, -2, 2.5, "x\u00e9\n\"", true, null, {}], "b": {"c": [], "d": "no"}}"#;
    let other = "a: [1, -2, 2.5, \"x\\u00e9\\n\\\"\", true, null, {}]\nb:\n  c: []\n  d: no\n";
    assert_eq!(bare(&json(text)), bare(&yaml(other)));
    assert_eq!(bare(&json(text)), serde_json::from_str::<serde_json::Value>(text).unwrap());
}

#[test]
fn every_value_knows_where_it_stood() {
    let tree = json("{\n  \"a\": {\n    \"b\": [1,\n      22]\n  }\n}");
    let found = at(&tree, &["a", "b", "1"]);
    assert_eq!((found.line, found.column), (4, 7));
    let tree = yaml("a:\n  b:\n    - 1\n    - 22\n");
    let found = at(&tree, &["a", "b", "1"]);
    assert_eq!((found.line, found.column), (4, 7));
}

#[test]
fn words_of_other_versions_of_yaml_are_texts() {
    for word in ["no", "NO", "on", "yes", "y", "Off"] {
        assert_eq!(yaml(&format!("a: {word}")).kind, yaml(&format!("a: '{word}'")).kind, "{word}");
    }
}

#[test]
fn says_where_a_text_breaks_off() {
    for (text, expected) in [
        ("", "policy.json:1:1: ends where a value should be"),
        ("{", "policy.json:1:2: expected a key in quotes"),
        ("{\"a\": 1\n \"b\": 2}", "policy.json:2:2: expected a comma or }"),
        ("{\"a\": 1,\n \"a\": 2}", "policy.json:2:2: the key \"a\" is there twice"),
        ("[1, 2", "policy.json:1:6: expected a comma or ]"),
        ("[1] x", "policy.json:1:5: trailing characters"),
        ("[01]", "policy.json:1:2: not a number"),
        ("[\"\\q\"]", "policy.json:1:2: an escape that does not exist"),
        ("[\"a\nb\"]", "policy.json:1:2: a control character in a text"),
        ("[tru]", "policy.json:1:2: expected a value"),
    ] {
        assert_eq!(fault("policy.json", text), expected, "{text:?}");
    }
}

#[test]
fn yaml_with_a_key_twice_is_refused_with_its_line() {
    let fault = fault("policy.yml", "a: 1\nb: 2\na: 3\n");
    assert!(fault.starts_with("policy.yml:3:1: "), "{fault}");
}

#[test]
fn depth_and_aliases_are_bounded() {
    let deep = "[".repeat(10_000) + &"]".repeat(10_000);
    assert!(fault("policy.json", &deep).contains("nested deeper"));
    assert!(!fault("policy.yaml", &deep).is_empty());
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..9 {
        let last = level - 1;
        bomb += &format!("a{level}: &a{level} [{}]\n", vec![format!("*a{last}"); 10].join(", "));
    }
    assert!(!fault("policy.yaml", &bomb).is_empty());
}
