//! A browser without a window: Debian's Chromium, driven by the WebDriver protocol.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use http::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::client::{Answer, Ask};
use crate::wait::until;

/// How long a browser may take to start, and a page to appear, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// No window, no sandbox that a container lacks, and nothing that speaks to anybody but the page's server.
const ARGUMENTS: [&str; 8] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
];

/// A running browser. Dropping it ends it.
pub struct Browser {
    driver: Child,
    at: SocketAddr,
    session: String,
    // Last, so that it goes after the processes that write to it.
    _folder: TempDir,
}

impl Browser {
    /// Starts `chromedriver`, and through it `chromium`, both on PATH, with a profile of its own.
    ///
    /// # Errors
    /// When either is missing, ends, or does not serve in time.
    pub async fn start() -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("portcullis-browser-").tempdir()?;
        let log = folder.path().join("driver.log");
        let output = std::fs::File::create(&log)?;
        let driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .context("cannot start chromedriver; `cargo xtask test proxy` provides it")?;
        // From here on it is ended whatever happens.
        let mut browser =
            Self { driver, at: (Ipv4Addr::LOCALHOST, 0).into(), session: String::new(), _folder: folder };
        browser.at = browser.address(&log).await?;
        let profile = format!("--user-data-dir={}", browser._folder.path().join("profile").display());
        let arguments: Vec<&str> = ARGUMENTS.into_iter().chain([profile.as_str()]).collect();
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": {"args": arguments},
        }}});
        let made = browser.tell(Method::POST, "/session", &wanted).await?;
        browser.session = made["sessionId"].as_str().context("a session without an id")?.to_owned();
        Ok(browser)
    }

    /// Opens a page, and waits until it is loaded; what its scripts do then comes later.
    ///
    /// # Errors
    /// When the page cannot be loaded.
    pub async fn open(&self, url: &str) -> Result<()> {
        self.order(Method::POST, "url", &json!({ "url": url })).await.map(drop)
    }

    /// Waits until an element that `selector` finds has `text` in it.
    ///
    /// # Errors
    /// When there is none in time.
    pub async fn await_text(&self, selector: &str, text: &str) -> Result<()> {
        let script = "const found = document.querySelector(arguments[0]); return found && found.textContent;";
        until(&format!("{text:?} in {selector}"), PATIENCE, || async {
            // A page that is being replaced has no answer.
            let found = self.run(script, &json!([selector])).await.unwrap_or_default();
            Ok(found.as_str().is_some_and(|found| found.contains(text)).then_some(()))
        })
        .await
    }

    /// Runs a script in the page and returns what it does.
    ///
    /// # Errors
    /// When it fails.
    pub async fn run(&self, script: &str, arguments: &Value) -> Result<Value> {
        self.order(Method::POST, "execute/sync", &json!({ "script": script, "args": arguments })).await
    }

    /// The cookies for the page that is open, as a request's header holds them.
    ///
    /// # Errors
    /// When the browser does not say.
    pub async fn cookies(&self) -> Result<String> {
        let cookies = self.order(Method::GET, "cookie", &Value::Null).await?;
        let pair =
            |cookie: &Value| Some(format!("{}={}", cookie["name"].as_str()?, cookie["value"].as_str()?));
        let pairs: Vec<String> = cookies.as_array().into_iter().flatten().filter_map(pair).collect();
        Ok(pairs.join("; "))
    }

    async fn address(&mut self, log: &Path) -> Result<SocketAddr> {
        until("chromedriver serves", PATIENCE, || {
            let (ended, said) = (self.driver.try_wait(), std::fs::read_to_string(log));
            async move {
                let said = said?;
                if let Some(status) = ended? {
                    bail!("chromedriver ended ({status}): {said}");
                }
                // "ChromeDriver was started successfully on port 40123."
                let port = said.split_once("successfully on port ").map(|(_, rest)| rest);
                let digits = port.and_then(|rest| rest.split_once('.')).map(|(digits, _)| digits);
                let port: Option<u16> = digits.and_then(|digits| digits.parse().ok());
                Ok(port.map(|port| (Ipv4Addr::LOCALHOST, port).into()))
            }
        })
        .await
    }

    async fn order(&self, method: Method, what: &str, with: &Value) -> Result<Value> {
        self.tell(method, &format!("/session/{}/{what}", self.session), with).await
    }

    async fn tell(&self, method: Method, path: &str, with: &Value) -> Result<Value> {
        let body = if with.is_null() { String::new() } else { with.to_string() };
        let ask = Ask { method, ..Ask::post(path, "application/json", body) };
        let answer = ask.send(self.at).await?;
        let mut said = answer.report()?;
        if !answer.status.is_success() {
            bail!("{path}: {said}");
        }
        Ok(said["value"].take())
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // A driver that ends leaves its browser running; one whose session is over does not.
        if !self.session.is_empty() {
            let _gone = self.quit();
        }
        let _gone = self.driver.kill();
        let _ended = self.driver.wait();
    }
}

impl Browser {
    /// Ends the browser, and waits until it has ended.
    fn quit(&self) -> std::io::Result<()> {
        let mut stream = std::net::TcpStream::connect(self.at)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let (session, at) = (&self.session, self.at);
        let order = format!("DELETE /session/{session} HTTP/1.1\r\nHost: {at}\r\nConnection: close\r\n\r\n");
        stream.write_all(order.as_bytes())?;
        stream.read_to_end(&mut Vec::new()).map(drop)
    }
}

/// The policy of [`passes_a_challenge`]: everything below `/shop` is for browsers.
pub const CHALLENGE: &str = r#"{"site": {"agentLevel": "block"}, "rules": [
    {"type": "request", "reason": "browsers only", "enabled": true, "groupOperator": "all",
     "conditions": [{"type": "single", "field": "path", "operator": "like", "value": "/shop*"}],
     "actions": [{"type": "browserChallenge"}]}]}"#;

/// A browser meets the challenge of whatever protects the sample application at `to`, passes it, and is not asked again;
/// whoever runs no script does not pass, and the browser's cookie passes for its own kind of client alone.
///
/// `challenged` tells how many challenges were shown so far; none before.
///
/// # Errors
/// Tells what of this is not so.
pub async fn passes_a_challenge<F>(to: SocketAddr, challenged: impl Fn() -> F) -> Result<()>
where
    F: Future<Output = Result<f64>>,
{
    let browser = Browser::start().await?;
    let agent = browser.run("return navigator.userAgent;", &json!([])).await?;
    let agent = agent.as_str().context("a browser without a name")?.to_owned();
    let ask = |cookie: &str| {
        let ask = Ask::get("/shop/plain").header("user-agent", &agent);
        if cookie.is_empty() { ask } else { ask.header("cookie", cookie) }
    };
    let refused = |answer: &Answer| {
        let page = String::from_utf8_lossy(&answer.body).into_owned();
        ensure!(answer.status == 403 && page.contains("This site needs JavaScript"), "{answer:?}");
        Ok(())
    };
    for _ in 0..3 {
        refused(&ask("").send(to).await?)?;
    }
    let counted = async |expected: f64| {
        until(&format!("{expected} challenges"), PATIENCE, || async {
            Ok((challenged().await? == expected).then_some(()))
        })
        .await
    };
    counted(3.0).await?;
    browser.open(&format!("http://{to}/shop/first")).await?;
    browser.await_text("pre", r#""target":"/shop/first""#).await?;
    counted(4.0).await?;
    let cookie = browser.cookies().await?;
    ensure!(cookie.starts_with("portcullis_challenge="), "cookies: {cookie:?}");
    browser.open(&format!("http://{to}/shop/second")).await?;
    browser.await_text("pre", r#""target":"/shop/second""#).await?;
    let answer = ask(&cookie).send(to).await?;
    ensure!(answer.status == 200, "with the browser's cookie: {answer:?}");
    refused(&ask("").send(to).await?)?;
    let other = Ask::get("/shop/plain").header("user-agent", "curl/8").header("cookie", &cookie);
    refused(&other.send(to).await?)?;
    // Had the browser been asked again there would be one more.
    counted(6.0).await
}
