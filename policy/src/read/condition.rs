//! Conditions of a rule.

use std::net::IpAddr;
use std::sync::Arc;

use memchr::memmem::Finder;

use crate::ip::Pattern;
use crate::lists::{Entries, List};
use crate::read::{Names, Object, Reader};
use crate::rule::{Field, Kind, Leaf, Many, Matcher, Multi, Part, Predicate, Test, Wild, regex};
use crate::source::Node;

#[derive(Clone, Copy)]
enum Type {
    Single,
    Group,
    Multival,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Equals,
    Contains,
    AtLeast,
    AtMost,
    Like,
    Exists,
    Matches,
    InList,
}

/// Reads `groupOperator` and `conditions` of a rule or group; none where something is wrong with them.
pub(crate) fn group(reader: &mut Reader, object: &Object<'_>, names: &Names, depth: usize) -> Option<Test> {
    let any = any(reader, object);
    let tests = object.read(reader, "conditions", |reader, node| {
        let mut count = 0;
        let tests = reader.items(node, MOST_CONDITIONS, |reader, node| {
            count += 1;
            condition(reader, node, names, depth)
        });
        // One that can not be used has been told of; the others alone would mean something else.
        (tests.len() == count).then_some(tests)
    })?;
    Some(if any { Test::Any(tests) } else { Test::All(tests) })
}

fn any(reader: &mut Reader, object: &Object<'_>) -> bool {
    let words = [("all", false), ("any", true)];
    object
        .read(reader, "groupOperator", |reader, node| reader.choice(node, "group operator", &words))
        .unwrap_or(false)
}

fn condition(reader: &mut Reader, node: &Node, names: &Names, depth: usize) -> Option<Test> {
    let object = reader.object(node)?;
    let words = [("single", Type::Single), ("group", Type::Group), ("multival", Type::Multival)];
    let kind = object.read(reader, "type", |reader, node| reader.choice(node, "type of condition", &words));
    if object.take("type").is_none() {
        reader.problem(node, "needs a type: single, group or multival");
    }
    let test = match kind? {
        Type::Single => single(reader, &object, node, names).map(Test::Leaf),
        Type::Group => {
            if depth >= DEEPEST {
                reader.problem(node, format!("groups nested deeper than {DEEPEST}"));
                return None;
            }
            nonempty(reader, &object, node)?;
            group(reader, &object, names, depth + 1)
        }
        Type::Multival => multival(reader, &object, node, names).map(Test::Leaf),
    };
    object.finish(reader, &["field", "operator", "value", "groupOperator", "conditions"]);
    test
}

fn nonempty(reader: &mut Reader, object: &Object<'_>, node: &Node) -> Option<()> {
    let is_empty = match object.take("conditions") {
        Some(Node { kind: crate::source::Kind::List(items), .. }) => items.is_empty(),
        Some(_) => false,
        None => true,
    };
    if is_empty {
        reader.problem(node, "needs conditions");
        return None;
    }
    Some(())
}

fn single(reader: &mut Reader, object: &Object<'_>, node: &Node, names: &Names) -> Option<Leaf> {
    let field = object
        .read(reader, "field", |reader, node| reader.choice(node, "field of a single condition", Field::ALL));
    if object.take("field").is_none() {
        reader.problem(node, "needs a field");
    }
    let predicate = predicate(reader, object, node, (field?.kind(), Some(field?)), names);
    Some(Leaf::One(field?, predicate?))
}

fn multival(reader: &mut Reader, object: &Object<'_>, node: &Node, names: &Names) -> Option<Leaf> {
    let field =
        object.read(reader, "field", |reader, node| reader.choice(node, "field of a multival", Multi::ALL));
    if object.take("field").is_none() {
        reader.problem(node, "needs a field");
    }
    let field = field?;
    let (operator, negate) = operator(reader, object, node)?;
    if operator != Operator::Exists {
        reader.problem(node, "the operator of a multival is exists or doesNotExist");
        return None;
    }
    let any = any(reader, object);
    let mut count = 0;
    let parts = object.read(reader, "conditions", |reader, node| {
        Some(reader.items(node, MOST_CONDITIONS, |reader, node| {
            count += 1;
            part(reader, node, field, names)
        }))
    });
    let parts = parts.unwrap_or_default();
    (parts.len() == count).then_some(Leaf::Many(Many { field, negate, any, parts }))
}

fn part(reader: &mut Reader, node: &Node, of: Multi, names: &Names) -> Option<(Part, Predicate)> {
    let object = reader.object(node)?;
    let part = object.read(reader, "field", |reader, node| {
        let part = reader.choice(node, "field within a multival", Part::ALL)?;
        if !part.is_of(of) {
            reader.problem(node, format!("{of:?} has no such field"));
            return None;
        }
        Some(part)
    });
    if object.take("field").is_none() {
        reader.problem(node, "needs a field");
    }
    if object.take("type").is_some() {
        let words = [("single", ())];
        object.read(reader, "type", |reader, node| reader.choice(node, "type within a multival", &words))?;
    }
    let part = part?;
    // A name is not compared as a number.
    let name = (part == Part::Name).then_some(Field::ParamName);
    let mut predicate = predicate(reader, &object, node, (part.kind(of), name), names)?;
    object.finish(reader, &["groupOperator", "conditions"]);
    if let (Part::SignalType, Matcher::Equals(name)) = (part, &predicate.matcher) {
        let name = names.signal(reader, node, &String::from_utf8_lossy(name))?;
        predicate.matcher = Matcher::Equals(name.to_ascii_lowercase().into_bytes().into());
    }
    Some((part, predicate))
}

fn operator(reader: &mut Reader, object: &Object<'_>, node: &Node) -> Option<(Operator, bool)> {
    if object.take("operator").is_none() {
        reader.problem(node, "needs an operator");
    }
    object.read(reader, "operator", |reader, node| reader.choice(node, "operator", OPERATORS))
}

const OPERATORS: &[(&str, (Operator, bool))] = &[
    ("equals", (Operator::Equals, false)),
    ("doesNotEqual", (Operator::Equals, true)),
    ("contains", (Operator::Contains, false)),
    ("doesNotContain", (Operator::Contains, true)),
    ("greaterEqual", (Operator::AtLeast, false)),
    ("lesserEqual", (Operator::AtMost, false)),
    ("like", (Operator::Like, false)),
    ("notLike", (Operator::Like, true)),
    ("exists", (Operator::Exists, false)),
    ("doesNotExist", (Operator::Exists, true)),
    ("matches", (Operator::Matches, false)),
    ("doesNotMatch", (Operator::Matches, true)),
    ("inList", (Operator::InList, false)),
    ("notInList", (Operator::InList, true)),
];

fn predicate(
    reader: &mut Reader,
    object: &Object<'_>,
    node: &Node,
    (kind, field): (Kind, Option<Field>),
    names: &Names,
) -> Option<Predicate> {
    let found = operator(reader, object, node);
    let value = object.text(reader, "value");
    if value.is_none() && object.take("value").is_none() {
        reader.problem(node, "needs a value");
    }
    let ((operator, negate), value) = (found?, value?);
    let place = object.take("value").unwrap_or(node);
    let matcher = match reader.key("value", |_| matcher(operator, kind, field, &value, names)) {
        Ok(matcher) => matcher,
        Err(reason) => {
            reader.key("value", |reader| reader.problem(place, reason));
            return None;
        }
    };
    let fold = matches!(kind, Kind::Fold | Kind::Word);
    Some(Predicate { negate, fold, matcher })
}

fn matcher(
    operator: Operator,
    kind: Kind,
    field: Option<Field>,
    value: &str,
    names: &Names,
) -> Result<Matcher, String> {
    let fold = matches!(kind, Kind::Fold | Kind::Word);
    let text = if fold { value.to_ascii_lowercase() } else { value.to_owned() };
    let number = || value.trim().parse::<i64>().map_err(|_| format!("{value:?} is no whole number"));
    let unfit = || Err(format!("{operator:?} does not go with this field"));
    match (operator, kind) {
        (Operator::InList, _) => in_list(kind, field, value, names),
        (Operator::Equals, Kind::Ip) => ip(value),
        (Operator::Like, Kind::Ip) if value.contains('*') && Pattern::parse(value).is_none() => {
            Wild::new(value, false).map(Matcher::Like)
        }
        (Operator::Like, Kind::Ip) => ip(value),
        (Operator::Equals, Kind::Number) => number().map(Matcher::Number),
        (Operator::Equals, _) => {
            check_word(field, value)?;
            Ok(Matcher::Equals(text.into_bytes().into()))
        }
        (Operator::AtLeast | Operator::AtMost, Kind::Exact)
            if !matches!(field, None | Some(Field::ParamValue)) =>
        {
            unfit()
        }
        (Operator::AtLeast, Kind::Number | Kind::Code | Kind::Exact) => number().map(Matcher::AtLeast),
        (Operator::AtMost, Kind::Number | Kind::Code | Kind::Exact) => number().map(Matcher::AtMost),
        (Operator::Contains, Kind::Exact | Kind::Fold | Kind::Code) => {
            Ok(Matcher::Contains(Box::new(Finder::new(text.as_bytes()).into_owned())))
        }
        (Operator::Like, Kind::Exact | Kind::Fold | Kind::Code | Kind::Word) => {
            Wild::new(&text, fold).map(Matcher::Like)
        }
        (Operator::Matches, Kind::Exact | Kind::Fold | Kind::Code) => {
            regex(value, fold).map(|regex| Matcher::Matches(Box::new(regex)))
        }
        (Operator::Exists, _) => Err("exists is for multivals".to_owned()),
        (
            Operator::AtLeast | Operator::AtMost | Operator::Contains | Operator::Matches | Operator::Like,
            _,
        ) => unfit(),
    }
}

fn ip(value: &str) -> Result<Matcher, String> {
    let pattern = Pattern::parse(value);
    pattern.map(Matcher::Ip).ok_or_else(|| format!("{value:?} is neither an address nor a network"))
}

fn check_word(field: Option<Field>, value: &str) -> Result<(), String> {
    let known: &[&str] = match field {
        Some(Field::Method) => METHODS,
        Some(Field::Scheme) => &["http", "https", "ws", "wss"],
        Some(Field::Country) => {
            let is_code = value.len() == 2 && value.bytes().all(|byte| byte.is_ascii_alphabetic());
            return if is_code { Ok(()) } else { Err(format!("{value:?} is no country of two letters")) };
        }
        _ => return Ok(()),
    };
    match known.iter().any(|word| word.eq_ignore_ascii_case(value)) {
        true => Ok(()),
        false => Err(format!("{value:?} is none of {}", known.join(", "))),
    }
}

fn in_list(kind: Kind, field: Option<Field>, value: &str, names: &Names) -> Result<Matcher, String> {
    let list: Arc<List> = names.list(value).ok_or_else(|| format!("there is no list called {value:?}"))?;
    let fits = match (&list.entries, kind) {
        (Entries::Ips(_), Kind::Ip) => true,
        (Entries::Ips(_), _) => false,
        (Entries::Texts(texts), Kind::Ip) => texts.written.iter().all(is_address),
        (Entries::Texts(texts), Kind::Word) if field == Some(Field::Country) => {
            texts.written.iter().all(|text| text.len() == 2)
        }
        (Entries::Texts(_) | Entries::Wildcards(_), _) => true,
    };
    if fits { Ok(Matcher::In(list)) } else { Err(format!("the list {value:?} does not go with this field")) }
}

fn is_address(text: &[u8]) -> bool {
    std::str::from_utf8(text).is_ok_and(|text| text.parse::<IpAddr>().is_ok())
}

const METHODS: &[&str] =
    &["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "TRACE", "OPTIONS", "CONNECT", "PROPFIND"];
/// Groups within groups, and conditions in one.
const DEEPEST: usize = 3;
const MOST_CONDITIONS: usize = 10;
