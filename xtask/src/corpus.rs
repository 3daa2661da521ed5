//! `cargo xtask corpus DIR`: runs the engine over labelled requests and counts what it would block.
//!
//! A folder holds `*.jsonl` or `*.jsonl.gz`, a request a line: `{id, source, category, expect: "block"|"pass",
//! headline, method, target, version, headers: [[name, value]], body: base64}`; `raw` (base64), where present, is the
//! whole request. A request counts as blocked where an attack signal is found.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::read::MultiGzDecoder;
use portcullis_detect::{Body, Engine, Header, Request, Signals};
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
struct Case {
    id: String,
    source: String,
    category: String,
    expect: String,
    headline: bool,
    method: String,
    target: String,
    #[serde(default)]
    version: String,
    headers: Vec<(String, String)>,
    body: String,
    raw: Option<String>,
}

#[derive(Clone, Copy, Default, Serialize)]
struct Count {
    attacks: usize,
    caught: usize,
    benign: usize,
    alarms: usize,
}

#[derive(Serialize)]
struct Wrong<'a> {
    id: &'a str,
    source: &'a str,
    category: &'a str,
    expect: &'a str,
    headline: bool,
    target: String,
    body: String,
    signals: Vec<String>,
}

#[derive(Default)]
struct Options {
    dir: Option<PathBuf>,
    json: Option<PathBuf>,
    misses: Option<PathBuf>,
    source: Option<String>,
    category: Option<String>,
    half: Option<u8>,
}

/// Runs the task.
pub(crate) fn run(args: impl Iterator<Item = String>) -> Result<()> {
    let options = parse(args)?;
    let dir = options.dir.as_deref().context("usage: cargo xtask corpus DIR [--json F] [--misses F] [--source S] [--category SUBSTRING] [--half 0|1]")?;
    let engine = Engine::default();
    let mut rows: BTreeMap<(String, String, bool), Count> = BTreeMap::new();
    let mut misses = options.misses.as_ref().map(File::create).transpose()?.map(BufWriter::new);
    let (mut spent, mut worst, mut sent, mut bytes) =
        (Duration::ZERO, (Duration::ZERO, String::new()), 0_u64, 0_u64);
    for file in files(dir)? {
        for line in lines(&file)? {
            let case: Case =
                serde_json::from_str(&line?).with_context(|| format!("in {}", file.display()))?;
            if !options.wants(&case) {
                continue;
            }
            let body = STANDARD.decode(&case.body)?;
            let raw = case.raw.as_ref().map(|raw| STANDARD.decode(raw)).transpose()?;
            let started = Instant::now();
            let signals = inspect(&engine, &case, &body, raw.as_deref());
            let took = started.elapsed();
            spent += took;
            sent += 1;
            bytes += (case.target.len() + body.len()) as u64;
            if took > worst.0 {
                worst = (took, case.id.clone());
            }
            let blocked = signals.has_attack();
            let count = rows.entry((case.source.clone(), case.category.clone(), case.headline)).or_default();
            if case.expect == "block" {
                count.attacks += 1;
                count.caught += usize::from(blocked);
            } else {
                count.benign += 1;
                count.alarms += usize::from(blocked);
            }
            if let Some(out) = misses.as_mut().filter(|_| blocked != (case.expect == "block")) {
                serde_json::to_writer(&mut *out, &wrong(&case, &body, raw.as_deref(), &signals))?;
                out.write_all(b"\n")?;
            }
        }
    }
    report(&rows, options.json.as_deref())?;
    println!(
        "{sent} requests, {:.1} us each in mean, worst {:.0} us ({}), {:.1} MB/s",
        spent.as_secs_f64() * 1e6 / sent.max(1) as f64,
        worst.0.as_secs_f64() * 1e6,
        worst.1,
        bytes as f64 / 1e6 / spent.as_secs_f64().max(1e-9),
    );
    Ok(())
}

fn parse(mut args: impl Iterator<Item = String>) -> Result<Options> {
    let mut options = Options::default();
    while let Some(arg) = args.next() {
        let mut value = || args.next().with_context(|| format!("{arg} needs a value"));
        match arg.as_str() {
            "--json" => options.json = Some(value()?.into()),
            "--misses" => options.misses = Some(value()?.into()),
            "--source" => options.source = Some(value()?),
            "--category" => options.category = Some(value()?),
            "--half" => options.half = Some(value()?.parse()?),
            _ if arg.starts_with('-') => bail!("unknown option {arg}"),
            _ => options.dir = Some(arg.into()),
        }
    }
    Ok(options)
}

impl Options {
    fn wants(&self, case: &Case) -> bool {
        // Cases are halved by a hash of their id, so that one half can be kept for judging.
        let half = || {
            let hash = case.id.bytes().fold(5381_u32, |hash, byte| hash.wrapping_mul(33) ^ u32::from(byte));
            u8::from(hash >> 7 & 1 == 1)
        };
        self.source.as_ref().is_none_or(|source| source.split(',').any(|one| one == case.source))
            && self.category.as_ref().is_none_or(|part| case.category.contains(part))
            && self.half.is_none_or(|wanted| wanted == half())
    }
}

fn files(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(dir)
        .with_context(|| format!("cannot read the folder {}", dir.display()))?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<std::io::Result<_>>()?;
    files.retain(|file| {
        file.to_string_lossy().ends_with(".jsonl") || file.to_string_lossy().ends_with(".jsonl.gz")
    });
    files.sort();
    if files.is_empty() {
        bail!("no *.jsonl or *.jsonl.gz in {}", dir.display());
    }
    Ok(files)
}

fn lines(file: &Path) -> Result<std::io::Lines<BufReader<Box<dyn Read>>>> {
    let open = File::open(file)?;
    let reader: Box<dyn Read> = if file.extension().is_some_and(|end| end == "gz") {
        Box::new(MultiGzDecoder::new(open))
    } else {
        Box::new(open)
    };
    Ok(BufReader::new(reader).lines())
}

fn inspect(engine: &Engine, case: &Case, body: &[u8], raw: Option<&[u8]>) -> Signals {
    if let Some(raw) = raw {
        return inspect_raw(engine, raw);
    }
    // Header text is stored as Latin-1, the way it goes over the wire.
    let latin1 = |text: &str| text.chars().map(|c| u8::try_from(c).unwrap_or(b'?')).collect::<Vec<u8>>();
    let owned: Vec<(Vec<u8>, Vec<u8>)> =
        case.headers.iter().map(|(name, value)| (latin1(name), latin1(value))).collect();
    let headers: Vec<Header<'_>> = owned.iter().map(|(name, value)| Header { name, value }).collect();
    let target = latin1(&case.target);
    engine.inspect(&Request {
        method: case.method.as_bytes(),
        target: &target,
        protocol: case.version.as_bytes(),
        headers: &headers,
        body: Body { bytes: body, truncated: false },
        ..Request::default()
    })
}

fn inspect_raw(engine: &Engine, raw: &[u8]) -> Signals {
    let mut slots = [httparse::EMPTY_HEADER; 128];
    let mut parsed = httparse::Request::new(&mut slots);
    let Ok(httparse::Status::Complete(read)) = parsed.parse(raw) else { return Signals::default() };
    let headers: Vec<Header<'_>> = parsed
        .headers
        .iter()
        .map(|header| Header { name: header.name.as_bytes(), value: header.value })
        .collect();
    engine.inspect(&Request {
        method: parsed.method.unwrap_or_default().as_bytes(),
        target: parsed.path.unwrap_or_default().as_bytes(),
        headers: &headers,
        body: Body { bytes: raw.get(read..).unwrap_or_default(), truncated: false },
        ..Request::default()
    })
}

fn wrong<'a>(case: &'a Case, body: &[u8], raw: Option<&[u8]>, signals: &Signals) -> Wrong<'a> {
    Wrong {
        id: &case.id,
        source: &case.source,
        category: &case.category,
        expect: &case.expect,
        headline: case.headline,
        target: case.target.clone(),
        body: String::from_utf8_lossy(raw.unwrap_or(body)).into_owned(),
        signals: signals
            .iter()
            .map(|s| {
                format!(
                    "{} {} {} {}={}",
                    s.tag,
                    s.detector,
                    s.location.as_str(),
                    String::from_utf8_lossy(&s.name),
                    String::from_utf8_lossy(&s.value)
                )
            })
            .collect(),
    }
}

/// Requests of a kind that a source must have to count in the mean.
const FEWEST: usize = 20;

fn percent(part: usize, whole: usize) -> f64 {
    if whole == 0 { f64::NAN } else { 100.0 * part as f64 / whole as f64 }
}

fn report(rows: &BTreeMap<(String, String, bool), Count>, json: Option<&Path>) -> Result<()> {
    println!(
        "{:14} {:26} {:>7} {:>7} {:>7} {:>7}",
        "source", "category", "attacks", "TPR%", "benign", "FPR%"
    );
    let mut sources: BTreeMap<(bool, &str), Count> = BTreeMap::new();
    for ((source, category, headline), count) in rows {
        let weak = if *headline { "" } else { " *" };
        println!(
            "{source:14} {:26} {:7} {:7.2} {:7} {:7.3}  ({} missed, {} alarms)",
            format!("{category}{weak}"),
            count.attacks,
            percent(count.caught, count.attacks),
            count.benign,
            percent(count.alarms, count.benign),
            count.attacks - count.caught,
            count.alarms
        );
        let sum = sources.entry((!headline, source)).or_default();
        sum.attacks += count.attacks;
        sum.caught += count.caught;
        sum.benign += count.benign;
        sum.alarms += count.alarms;
    }
    println!(
        "\n{:16} {:>7} {:>7} {:>7} {:>7} {:>9}",
        "source", "attacks", "TPR%", "benign", "FPR%", "balanced%"
    );
    let (mut tpr, mut fpr) = (Vec::new(), Vec::new());
    for ((weak, source), count) in &sources {
        let (t, f) = (percent(count.caught, count.attacks), percent(count.alarms, count.benign));
        println!(
            "{:16} {:7} {t:7.2} {:7} {f:7.3} {:9.2}",
            format!("{source}{}", if *weak { " *" } else { "" }),
            count.attacks,
            count.benign,
            (t + 100.0 - f) / 2.0
        );
        if !weak && count.attacks >= FEWEST {
            tpr.push(t);
        }
        if !weak && count.benign >= FEWEST {
            fpr.push(f);
        }
    }
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let (t, f) = (mean(&tpr), mean(&fpr));
    println!("* weak labels or contested traffic, outside the mean");
    println!(
        "mean over sources of {FEWEST} and more: TPR {t:.2} ({})  FPR {f:.3} ({})  balanced {:.2}",
        tpr.len(),
        fpr.len(),
        (t + 100.0 - f) / 2.0
    );
    if let Some(path) = json {
        let table: Vec<_> = rows
            .iter()
            .map(|((source, category, headline), count)| {
                serde_json::json!({"source": source, "category": category, "headline": headline, "count": count})
            })
            .collect();
        let whole = serde_json::json!({"rows": table, "mean": {"tpr": t, "fpr": f}});
        std::fs::write(path, serde_json::to_vec_pretty(&whole)?)?;
    }
    Ok(())
}
