//! What goes wrong, round by round.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use portcullis_e2e::config::Upstream;
use portcullis_e2e::stack::{DEMO, Stack};

/// What happens in a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing.
    Calm,
    /// The filter's configuration changes, and its mode with it.
    Update,
    /// The agent is killed, and started some time later.
    Kill,
    /// The agent stops answering, and goes on some time later.
    Hang,
}

/// The file that Envoy watches for the filter's configuration, and its text.
pub(crate) struct Update {
    file: PathBuf,
    text: String,
}

impl Fault {
    pub(crate) fn of(round: usize) -> Self {
        match round % 6 {
            0 | 3 => Self::Calm,
            1 | 4 => Self::Update,
            2 => Self::Kill,
            _ => Self::Hang,
        }
    }

    pub(crate) async fn happen(self, stack: &mut Stack, update: &Update, round: usize) -> Result<()> {
        match self {
            Self::Calm => {}
            Self::Update => update.write(round)?,
            Self::Kill => {
                stack.kill_agent().await?;
                wait(AWAY).await;
                stack.start_agent(DEMO).await?;
            }
            Self::Hang => {
                stack.hang_agent()?;
                wait(AWAY).await;
                stack.wake_agent()?;
            }
        }
        wait(ROUND).await;
        Ok(())
    }
}

/// Starts Envoy with the shipped configuration, in which the filter's own part comes from a file that Envoy watches.
pub(crate) async fn serve_by_discovery(stack: &mut Stack, upstream: &Upstream) -> Result<Update> {
    let shipped = stack.configure(0, upstream, &[])?;
    let text = std::fs::read_to_string(&shipped)?;
    let (before, rest) = text.split_once(FILTER).context("envoy/envoy.yaml has no filter portcullis")?;
    let (filter, after) = rest.split_once(ROUTER).context("no router follows the filter")?;
    let folder = stack.folder().join("discovery");
    std::fs::create_dir(&folder)?;
    let update = Update { file: folder.join("filter.yaml"), text: filter.to_owned() };
    update.write(0)?;
    let source = format!(
        "                  - name: portcullis
                    config_discovery:
                      type_urls: [type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm]
                      config_source:
                        resource_api_version: V3
                        path_config_source:
                          path: \"{}\"
                          watched_directory: {{ path: \"{}\" }}
",
        update.file.display(),
        folder.display()
    );
    // Whoever asks for a configuration must have a name.
    let node = "node: { id: soak, cluster: soak }\n";
    std::fs::write(&shipped, format!("{node}{before}{source}{ROUTER}{after}"))?;
    stack.start_envoy_with(&shipped).await?;
    Ok(update)
}

impl Update {
    /// Writes the configuration of a round: the two modes in turn.
    fn write(&self, round: usize) -> Result<()> {
        let mode = if round.is_multiple_of(4) { "ask-always" } else { "local-first" };
        let text = self.text.replace("\"ask-always\"", &format!("\"{mode}\""));
        // No two rounds have the same text, or Envoy would see no change.
        let text = text.replace("\"timeout_ms\": 100", &format!("\"timeout_ms\": {}", 100 + round % 100));
        let resource = format!(
            "resources:
  - \"@type\": type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig
                    name: portcullis
                    typed_config:
{text}"
        );
        // What stands deeper in the shipped file keeps its depth here.
        let resource = resource.replacen("  - \"@type\"", "                  - \"@type\"", 1);
        let new = self.file.with_extension("new");
        std::fs::write(&new, resource)?;
        Ok(std::fs::rename(new, &self.file)?)
    }
}

/// A soak is time that goes by.
async fn wait(time: Duration) {
    tokio::time::sleep(time).await;
}

const FILTER: &str = "                  - name: portcullis\n                    typed_config:\n";
const ROUTER: &str = "                  - name: envoy.filters.http.router\n";

const AWAY: Duration = Duration::from_secs(4);
const ROUND: Duration = Duration::from_secs(6);
