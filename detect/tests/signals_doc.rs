//! docs/signals.md and docs/signals/virtual-patches.md say what the engine does.

use std::fs;
use std::path::{Path, PathBuf};

use portcullis_detect::{Kind, Patch, Tag};

#[test]
fn the_table_holds_every_tag_with_its_kind_and_meaning() -> anyhow::Result<()> {
    let text = fs::read_to_string(docs("signals.md"))?;
    let rows: Vec<(&str, &str, &str)> = text.lines().filter_map(row).collect();
    let expected: Vec<(&str, &str, &str)> =
        Tag::ALL.iter().map(|tag| (tag.as_str(), kind(tag.kind()), tag.description())).collect();
    assert_eq!(rows, expected);
    Ok(())
}

#[test]
fn every_link_leads_to_a_page() -> anyhow::Result<()> {
    let text = fs::read_to_string(docs("signals.md"))?;
    let links: Vec<&str> = text.split("](").skip(1).filter_map(|rest| rest.split(')').next()).collect();
    let broken: Vec<&&str> = links.iter().filter(|link| !docs(link).exists()).collect();
    assert!(!links.is_empty() && broken.is_empty(), "no page at {broken:?}");
    Ok(())
}

#[test]
fn the_patches_page_lists_every_patch() -> anyhow::Result<()> {
    let text = fs::read_to_string(docs("signals/virtual-patches.md"))?;
    let rows: Vec<&str> = text.lines().filter(|line| line.starts_with("| CVE-")).collect();
    let expected: Vec<String> =
        Patch::all().iter().map(|patch| format!("| {} | {} |", patch.id, patch.title)).collect();
    assert_eq!(rows, expected);
    Ok(())
}

/// Tag, kind and meaning of a row of the table.
fn row(line: &str) -> Option<(&str, &str, &str)> {
    let mut cells = line.strip_prefix("| ")?.split('|').map(str::trim);
    let (tag, kind, meaning) = (cells.next()?, cells.next()?, cells.next()?);
    matches!(kind, "attack" | "anomaly" | "fact").then_some((tag, kind, meaning))
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Attack => "attack",
        Kind::Anomaly => "anomaly",
        Kind::Info => "fact",
    }
}

fn docs(page: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(page)
}
