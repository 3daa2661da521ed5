//! The examples of docs/rules.md do what they say.

use portcullis_policy::{Policy, Source};
use serde_json::{Value, json};

use crate::common::{Given, START, state};

/// The blocks of a kind between fences, with the line they begin at.
fn blocks(text: &str) -> Vec<(String, usize, String)> {
    let mut blocks: Vec<(String, usize, String)> = Vec::new();
    let mut is_open = false;
    for (at, line) in text.lines().enumerate() {
        match line.strip_prefix("```") {
            Some(_) if is_open => is_open = false,
            Some(kind) => {
                is_open = true;
                blocks.push((kind.to_owned(), at + 2, String::new()));
            }
            None if is_open => blocks.last_mut().unwrap().2 += &format!("{line}\n"),
            None => {}
        }
    }
    blocks
}

struct Asked {
    given: Value,
    times: usize,
    after: u64,
    responds: bool,
    code: u16,
    signals: Vec<String>,
}

/// `from IP: METHOD TARGET, WHAT... -> CODE SIGNAL...`
fn asked(line: &str) -> Asked {
    let (question, answer) = line.split_once(" -> ").unwrap();
    let (from, rest) = question.strip_prefix("from ").unwrap().split_once(": ").unwrap();
    let mut parts = rest.split(", ");
    let (method, target) = parts.next().unwrap().split_once(' ').unwrap();
    let mut asked = Asked {
        given: json!({"ip": from, "method": method, "target": target}),
        times: 1,
        after: 0,
        responds: false,
        code: 0,
        signals: Vec::new(),
    };
    for part in parts {
        match part.split(' ').collect::<Vec<_>>()[..] {
            ["country", country] => asked.given["country"] = country.into(),
            ["signal", tag] => asked.given["signals"] = json!([{"tag": tag, "name": "q"}]),
            ["signal", tag, "in", name] => asked.given["signals"] = json!([{"tag": tag, "name": name}]),
            ["form", form] => {
                asked.given["headers"] = json!({"Content-Type": "application/x-www-form-urlencoded"});
                asked.given["body"] = form.into();
            }
            ["response", code] => {
                asked.responds = true;
                asked.given["response"] = json!({"code": code.parse::<u16>().unwrap()});
            }
            [times, "times"] => asked.times = times.parse().unwrap(),
            ["after", seconds, "seconds"] => asked.after = seconds.parse().unwrap(),
            _ => panic!("{line}"),
        }
    }
    let mut words = answer.split(' ');
    asked.code = words.next().unwrap().parse().unwrap();
    asked.signals = words.map(str::to_owned).collect();
    asked
}

#[test]
fn every_example_does_what_it_says() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/rules.md");
    let text = std::fs::read_to_string(path).unwrap();
    let (mut policy, mut now, mut past, mut lines) = (Policy::default(), START, state(), 0);
    for (kind, at, block) in blocks(&text) {
        match kind.as_str() {
            "yaml" => {
                policy = Policy::compile(&[Source { name: "rules.yaml", text: &block }])
                    .unwrap_or_else(|error| panic!("line {at}:\n{error}"));
                assert_eq!(policy.warnings(), []);
                past = state();
            }
            "text" => {
                for line in block.lines() {
                    let asked = asked(line);
                    let given = Given::new(&asked.given);
                    now += asked.after * 1000;
                    for _ in 0..asked.times {
                        let first = given.decide(&policy, &past, now);
                        let names: Vec<String> = match asked.responds {
                            true => given
                                .respond(&policy, &past, now)
                                .map(|decision| decision.names().map(str::to_owned).collect())
                                .unwrap_or_default(),
                            false => first.names().map(str::to_owned).collect(),
                        };
                        assert_eq!(first.code(), asked.code, "{line}");
                        for signal in &asked.signals {
                            assert!(names.contains(signal), "{line}: {names:?}");
                        }
                        now += 1;
                    }
                    lines += 1;
                }
            }
            _ => {}
        }
    }
    assert!(lines >= 30, "{lines}");
}
