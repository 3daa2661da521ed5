//! What is told at the end.

use anyhow::{Context, Result, ensure};

use crate::Output;
use crate::load::{Load, Measured};
use crate::setups::{Footprint, Running, Setup};

/// All that was measured.
#[derive(Default)]
pub(crate) struct Report {
    pub(crate) rows: Vec<Row>,
    pub(crate) footprints: Vec<(Setup, Footprint)>,
}

/// One run of wrk.
pub(crate) struct Row {
    pub(crate) load: Load,
    pub(crate) setup: Setup,
    pub(crate) measured: Measured,
}

impl Report {
    /// The runs must have been what their names say: a filter that failed open measures nothing.
    pub(crate) async fn check(&self, running: &[Running]) -> Result<()> {
        for envoy in running {
            let stats = envoy.stats().await?;
            let requests = stats.sum("portcullis_requests_total", &[]);
            match envoy.setup {
                Setup::Plain | Setup::ExtAuthz => continue,
                Setup::AskAlways => {
                    ensure!(requests > 0.0, "the filter saw no request");
                }
                Setup::LocalFirst => {
                    let local = stats.sum("portcullis_decisions_total", &[("decision", "local")]);
                    ensure!(local > 0.0, "no request was judged by the filter itself");
                }
            }
            let failed = stats.sum("portcullis_failures_total", &[]);
            ensure!(
                failed <= requests / 1000.0,
                "{}: {failed} of {requests} requests were not inspected",
                envoy.setup.name()
            );
        }
        Ok(())
    }

    pub(crate) fn print(&self, output: Output) -> Result<()> {
        for load in Load::ALL {
            println!("\n{}", load.name());
            println!(
                "  {:<12} {:>9} {:>9} {:>9} {:>9} {:>16}",
                "", "req/s", "x plain", "p50 us", "p99 us", "Envoy CPU us/req"
            );
            for setup in Setup::ALL {
                let middle =
                    |figure: fn(&Measured) -> f64| median(self.of(load, setup).map(figure).collect());
                println!(
                    "  {:<12} {:>9.0} {:>9.2} {:>9.0} {:>9.0} {:>16.1}",
                    setup.name(),
                    middle(|it| it.requests_a_second)?,
                    self.share(load, setup)?,
                    middle(|it| it.p50_us)?,
                    middle(|it| it.p99_us)?,
                    middle(|it| it.cpu_us_a_request)?,
                );
            }
        }
        println!();
        for (setup, footprint) in &self.footprints {
            println!(
                "  {:<12} served {:>5} ms after its start, {:>4} MiB resident after the load",
                setup.name(),
                footprint.start.as_millis(),
                footprint.resident / 1024 / 1024
            );
        }
        if output == Output::Json {
            let [headline, ..] = Load::ALL;
            let share =
                |setup| -> Result<f64> { Ok((self.share(headline, setup)? * 1000.0).round() / 1000.0) };
            println!(
                "{{\"ask_always\":{},\"local_first\":{},\"ext_authz\":{}}}",
                share(Setup::AskAlways)?,
                share(Setup::LocalFirst)?,
                share(Setup::ExtAuthz)?
            );
        }
        Ok(())
    }

    /// Requests a second as a share of the plain route's of the same round; the middle of all rounds.
    fn share(&self, load: Load, setup: Setup) -> Result<f64> {
        let rate = |row: &Measured| row.requests_a_second;
        let plain = self.of(load, Setup::Plain).map(rate);
        median(self.of(load, setup).map(rate).zip(plain).map(|(own, plain)| own / plain).collect())
    }

    fn of(&self, load: Load, setup: Setup) -> impl Iterator<Item = &Measured> {
        self.rows.iter().filter(move |row| row.load == load && row.setup == setup).map(|row| &row.measured)
    }
}

fn median(mut figures: Vec<f64>) -> Result<f64> {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().context("nothing was measured")
}
