//! What a program is made of, as CycloneDX: the crates that are linked into it, from cargo's own resolution.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::command::cargo;

/// The list for one package of the workspace. It says nothing of when it was made: the same lock file gives the same list.
pub(crate) fn of(package: &str, version: &str) -> Result<String> {
    let output =
        cargo(&["metadata", "--format-version", "1", "--locked"])?.output().context("cargo metadata")?;
    ensure!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr).trim());
    let metadata: Value = serde_json::from_slice(&output.stdout)?;
    let packages = by_id(&metadata["packages"]);
    let nodes = by_id(&metadata["resolve"]["nodes"]);
    let own = packages.iter().find(|(_, found)| found["name"] == package);
    let (start, _) = own.with_context(|| format!("no package is named {package}"))?;
    let linked = linked(start, &nodes);
    let components: Vec<Value> =
        linked.iter().filter_map(|id| packages.get(id)).map(|p| component(p)).collect();
    let bom = json!({
        "bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1,
        "metadata": { "component": {
            "type": "application", "name": package, "version": version, "bom-ref": start,
            "licenses": [{ "expression": "Apache-2.0" }],
        }},
        "components": components,
        "dependencies": linked.iter().map(|id| depends(id, &nodes, &linked)).collect::<Vec<_>>(),
    });
    // Ids of the workspace's own packages name the folder in which it stands.
    let text = serde_json::to_string_pretty(&bom)?;
    let root = metadata["workspace_root"].as_str().context("no workspace_root")?;
    Ok(text.replace(root, "/portcullis") + "\n")
}

fn by_id(list: &Value) -> BTreeMap<&str, &Value> {
    let entries = list.as_array().map(Vec::as_slice).unwrap_or_default();
    entries.iter().filter_map(|entry| Some((entry["id"].as_str()?, entry))).collect()
}

/// The package and all it depends on, without what only builds or tests it.
fn linked<'a>(start: &'a str, nodes: &BTreeMap<&'a str, &'a Value>) -> BTreeSet<&'a str> {
    let mut linked = BTreeSet::new();
    let mut waiting = vec![start];
    while let Some(id) = waiting.pop() {
        if linked.insert(id) {
            waiting.extend(nodes.get(id).map(|node| dependencies(node)).unwrap_or_default());
        }
    }
    linked
}

fn dependencies(node: &Value) -> Vec<&str> {
    let deps = node["deps"].as_array().map(Vec::as_slice).unwrap_or_default();
    let is_linked = |dep: &&Value| {
        dep["dep_kinds"].as_array().is_some_and(|kinds| kinds.iter().any(|kind| kind["kind"].is_null()))
    };
    deps.iter().filter(is_linked).filter_map(|dep| dep["pkg"].as_str()).collect()
}

fn component(package: &Value) -> Value {
    let (name, version) = (text(package, "name"), text(package, "version"));
    let mut component = json!({
        "type": "library", "name": name, "version": version, "bom-ref": text(package, "id"),
        "licenses": [{ "expression": text(package, "license").replace('/', " OR ") }],
    });
    if package["source"].is_string() {
        component["purl"] = json!(format!("pkg:cargo/{name}@{version}"));
    }
    component
}

fn depends(id: &str, nodes: &BTreeMap<&str, &Value>, linked: &BTreeSet<&str>) -> Value {
    let on = nodes.get(id).map(|node| dependencies(node)).unwrap_or_default();
    json!({ "ref": id, "dependsOn": on.into_iter().filter(|id| linked.contains(id)).collect::<Vec<_>>() })
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}
