//! Asking the Hub.

use std::time::Duration;

use ureq::config::RedirectAuthHeaders;
use ureq::http::{HeaderMap, Response};
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Body};

use super::cache::is_name;
use crate::{Error, Result};

/// Time that a connection and the beginning of an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Time without a byte after which a connection counts as broken. The stop button is looked at in between, and the
/// kernel waits five seconds for that.
const SILENCE: Duration = Duration::from_secs(4);
/// Number of times that a question without an answer is asked, and the pause after the first; it doubles.
const TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_millis(200);

/// A connection to one Hub.
#[derive(Debug)]
pub(super) struct Client {
    agent: Agent,
    endpoint: String,
    token: Option<String>,
}

/// The Hub's information about a file.
#[derive(Debug, Clone)]
pub(super) struct About {
    /// The name of its blob: for large files its SHA-256, for others its name in git.
    pub etag: String,
    pub size: Option<u64>,
    pub commit: Option<String>,
}

/// The answer to a question about a file.
pub(super) enum Answer {
    There(About),
    Missing(String),
    Unreachable(String),
}

/// The answer to a request for bytes.
pub(super) enum Bytes {
    /// They come, from this position.
    Come(u64, Response<Body>),
    /// Not now: try again.
    Failed(String),
    /// There is nothing from that position on.
    OutOfRange,
}

impl Client {
    /// A client that sends the token to this endpoint only.
    ///
    /// # Errors
    /// The file of certificates that `SSL_CERT_FILE` or `REQUESTS_CA_BUNDLE` names cannot be read.
    pub fn new(endpoint: &str, token: Option<&str>) -> Result<Self> {
        let config = Agent::config_builder()
            .user_agent(concat!("gpt_lab/", env!("CARGO_PKG_VERSION")))
            .http_status_as_error(false)
            .redirect_auth_headers(RedirectAuthHeaders::SameHost)
            .timeout_resolve(Some(PATIENCE))
            .timeout_connect(Some(PATIENCE))
            .timeout_recv_response(Some(PATIENCE))
            .timeout_per_read(Some(SILENCE))
            .tls_config(TlsConfig::builder().root_certs(root_certificates()?).build());
        let (endpoint, token) = (endpoint.to_string(), token.map(str::to_string));
        Ok(Client { agent: config.build().new_agent(), endpoint, token })
    }

    /// Asks about a file, more than once if there is no answer.
    pub fn head(&self, url: &str) -> Result<Answer> {
        let mut answer = self.head_once(url)?;
        for again in 0..TRIES - 1 {
            if !matches!(answer, Answer::Unreachable(_)) {
                break;
            }
            std::thread::sleep(PAUSE * 2u32.pow(again));
            answer = self.head_once(url)?;
        }
        Ok(answer)
    }

    /// A large file's redirection to the store says all about it; other redirections (of repositories that were
    /// renamed) are followed.
    fn head_once(&self, url: &str) -> Result<Answer> {
        let (mut place, mut commit) = (url.to_string(), None);
        for _ in 0..6 {
            let request = self.authorized(self.agent.head(&place), &place).header("accept-encoding", "identity");
            let answer = request.config().max_redirects(0).max_redirects_will_error(false).build().call();
            let answer = match answer {
                Ok(answer) => answer,
                Err(error) => return Ok(Answer::Unreachable(format!("{place}: {error}"))),
            };
            let (status, headers) = (answer.status().as_u16(), answer.headers());
            commit = commit.or_else(|| header(headers, "x-repo-commit").filter(|commit| is_name(commit)));
            let linked = header(headers, "x-linked-etag");
            match (status, header(headers, "location")) {
                (300..400, Some(location)) if linked.is_none() => place = absolute(&place, &location),
                (200..400, _) => {
                    // The length of a redirection is not that of the file.
                    let own_size = if status < 300 { header(headers, "content-length") } else { None };
                    let size = header(headers, "x-linked-size").or(own_size).and_then(|size| size.parse().ok());
                    let etag = linked.or_else(|| header(headers, "etag")).map(|etag| unquoted(&etag));
                    let no_etag =
                        || Error::Download { url: url.into(), detail: "the answer has no usable ETag".into() };
                    let etag = etag.filter(|etag| is_name(etag)).ok_or_else(no_etag)?;
                    return Ok(Answer::There(About { etag, size, commit }));
                }
                _ => return self.refusal(url, status, headers),
            }
        }
        Err(Error::Download { url: url.into(), detail: "the Hub redirects in a circle".into() })
    }

    /// Asks for a file from this byte on.
    pub fn bytes(&self, url: &str, from: u64) -> Result<Bytes> {
        let mut request = self.authorized(self.agent.get(url), url).header("accept-encoding", "identity");
        if from > 0 {
            request = request.header("range", format!("bytes={from}-"));
        }
        let answer = match request.call() {
            Ok(answer) => answer,
            Err(error) => return Ok(Bytes::Failed(error.to_string())),
        };
        match answer.status().as_u16() {
            200 => Ok(Bytes::Come(0, answer)),
            206 if range_start(answer.headers()) == Some(from) => Ok(Bytes::Come(from, answer)),
            206 | 416 => Ok(Bytes::OutOfRange),
            status => match self.refusal(url, status, answer.headers())? {
                Answer::Missing(detail) => Err(Error::Download { url: url.into(), detail }),
                _ => Ok(Bytes::Failed(described(status))),
            },
        }
    }

    /// The meaning of a status other than success.
    fn refusal(&self, url: &str, status: u16, headers: &HeaderMap) -> Result<Answer> {
        let detail = described(status);
        let fail = |why: &str| Err(Error::Download { url: url.into(), detail: format!("{detail}: {why}") });
        match (status, header(headers, "x-error-code").as_deref()) {
            (_, Some("RepoNotFound")) => fail("there is no such repository, or it needs a token (HF_TOKEN)"),
            (_, Some("RevisionNotFound")) => fail("the repository has no such revision"),
            (_, Some("GatedRepo")) => fail("access must be asked for on the repository's page, then set HF_TOKEN"),
            (404, _) => Ok(Answer::Missing(format!("{detail}: the Hub has no such file"))),
            (401 | 403, _) if self.token.is_none() => fail("the repository does not exist or needs a token (HF_TOKEN)"),
            (401 | 403, _) => fail("the token (HF_TOKEN) does not give access to this repository"),
            (408 | 429 | 500.., _) => Ok(Answer::Unreachable(format!("{url}: {detail}"))),
            _ => fail("this is no answer that a Hub gives"),
        }
    }

    fn authorized<B>(&self, request: ureq::RequestBuilder<B>, url: &str) -> ureq::RequestBuilder<B> {
        match &self.token {
            Some(token) if origin(url) == origin(&self.endpoint) => {
                request.header("authorization", format!("Bearer {token}"))
            }
            _ => request,
        }
    }
}

/// Mozilla's certificates, or those of a file, for networks that look into TLS connections.
fn root_certificates() -> Result<RootCerts> {
    let Some(path) = std::env::var_os("SSL_CERT_FILE").or_else(|| std::env::var_os("REQUESTS_CA_BUNDLE")) else {
        return Ok(RootCerts::WebPki);
    };
    let pem = std::fs::read(&path).map_err(|e| Error::io(&path, "reading the certificates", e))?;
    let certificates = parse_pem(&pem).filter_map(|item| match item {
        Ok(PemItem::Certificate(certificate)) => Some(certificate),
        _ => None,
    });
    Ok(RootCerts::new_with_certs(&certificates.collect::<Vec<_>>()))
}

fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    Some(headers.get(name)?.to_str().ok()?.trim().to_string())
}

/// `W/"abc"` → `abc`.
fn unquoted(etag: &str) -> String {
    etag.strip_prefix("W/").unwrap_or(etag).trim_matches('"').to_string()
}

/// The beginning of a range of bytes: `bytes 5-9/10` → 5.
fn range_start(headers: &HeaderMap) -> Option<u64> {
    header(headers, "content-range")?.strip_prefix("bytes ")?.split('-').next()?.parse().ok()
}

/// `https://host:port` of a URL.
fn origin(url: &str) -> &str {
    let host = url.find("://").map_or(0, |at| at + 3);
    url[host..].find('/').map_or(url, |end| &url[..host + end])
}

/// The target of a redirection.
fn absolute(from: &str, location: &str) -> String {
    if location.contains("://") {
        location.to_string()
    } else {
        format!("{}/{}", origin(from), location.trim_start_matches('/'))
    }
}

/// `404 Not Found`.
fn described(status: u16) -> String {
    let known = ureq::http::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
    format!("{status} {}", known.unwrap_or("(not a status of HTTP)"))
}
