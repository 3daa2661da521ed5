//! The shipped dashboard asks for metrics that there are.

use std::collections::BTreeSet;

use portcullis_e2e::client::Ask;
use portcullis_e2e::samples;

use crate::setup::{PATIENT, Path};

#[tokio::test]
async fn every_metric_of_the_dashboard_is_one_of_envoys() {
    let path = Path::real(&[PATIENT]).await;
    path.send(Ask::get("/demo")).await;
    path.stops(samples::attack("one block")).await;
    path.settled(2.0).await;
    let text = String::from_utf8(
        Ask::get("/stats/prometheus").send(path.stack.admin().unwrap()).await.unwrap().body.to_vec(),
    );
    let text = text.unwrap();
    let shown: BTreeSet<&str> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/grafana/portcullis-filter.json");
    let dashboard: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    let mut asked = BTreeSet::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().unwrap() {
            let expression = target["expr"].as_str().unwrap();
            let words = expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            asked.extend(words.filter(|word| word.starts_with("portcullis_")).map(str::to_owned));
        }
    }
    assert!(asked.len() >= 15, "{asked:?}");
    for metric in asked {
        let name = metric.strip_suffix("_bucket").unwrap_or(&metric);
        assert!(shown.contains(name), "{name} is not shown; what is: {shown:?}");
    }
}
