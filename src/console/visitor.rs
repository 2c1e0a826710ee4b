//! Who asks for a page, what its layout is made of, and what a form sends.
//!
//! Not whether a password is right (`accounts`). Invariants: no page but the log-in is shown without a session; nothing
//! is changed without the session's own token in the form; a password that was made for somebody lets them change it, and
//! do nothing else.

use std::net::{IpAddr, Ipv4Addr};

use axum::extract::{Form, FromRequest, FromRequestParts, Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};

use super::accounts::{Refusal, Role};
use super::server::Peer;
use super::text::{Language, translated};
use super::{Failed, Pages};
use super::{problem, redirect};
use crate::admin::AdminError;
use crate::config::is_base_path;

/// The cookie of a session.
pub const SESSION: &str = "rmq_session";
/// Where a user with a made password has to go.
const PASSWORD_PATH: &str = "/password";
/// Fields that are never shown again.
pub(super) const SECRETS: [&str; 5] = ["secret", "password", "old", "new", "again"];
/// Pages that somebody with such a password gets.
const WITHOUT_CHANGE: [&str; 2] = [PASSWORD_PATH, "/logout"];
/// The longest path before the console's own.
const BASE_MAX: usize = 128;

/// What the layout of a page is made of.
#[derive(Clone, Debug)]
pub struct Page {
    /// In which language.
    pub language: Language,
    /// `light` or `dark`, if the visitor chose.
    pub theme: Option<&'static str>,
    /// What all paths begin with: empty, or as `/rmq`.
    pub base: String,
    /// The path that was asked for, with its query.
    pub path: String,
    /// Who is logged in.
    pub user: Option<(String, Role)>,
    /// What forms hold.
    pub csrf: String,
    /// What the form that was sent held, without secrets; nothing if none was sent.
    pub sent: Fields,
}

impl Page {
    fn of(parts: &Parts, pages: &Pages) -> Self {
        let cookie = |name: &str| cookie(&parts.headers, name);
        let chosen = cookie("rmq_language").and_then(Language::named);
        let accepted = header(&parts.headers, header::ACCEPT_LANGUAGE.as_str());
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        Self {
            language: chosen.unwrap_or_else(|| Language::accepted(accepted.unwrap_or_default())),
            theme: cookie("rmq_theme").and_then(theme),
            base: base(&parts.headers).unwrap_or(&pages.base_path).to_owned(),
            path: path.to_owned(),
            user: None,
            csrf: String::new(),
            sent: Fields::default(),
        }
    }

    /// One of nobody who is logged in, for tests.
    #[cfg(test)]
    pub fn plain(language: Language, path: &str) -> Self {
        Self {
            language,
            theme: None,
            base: String::new(),
            path: path.to_owned(),
            user: None,
            csrf: String::new(),
            sent: Fields::default(),
        }
    }

    /// A text in the page's language.
    pub fn t<'a>(&self, text: &'a str) -> &'a str {
        translated(self.language, text)
    }

    /// The same with a value in the place of `{}`.
    pub fn t1(&self, text: &str, value: impl std::fmt::Display) -> String {
        self.t(text).replacen("{}", &value.to_string(), 1)
    }

    /// Whether the visitor may do what this role may.
    pub fn may(&self, role: &str) -> bool {
        let needed = Role::named(role);
        self.user.as_ref().is_some_and(|(_, has)| needed.is_some_and(|needed| *has >= needed))
    }

    /// Where the page is, without its query, as links have it.
    pub fn here(&self) -> String {
        format!("{}{}", self.base, self.bare_path())
    }

    fn bare_path(&self) -> &str {
        self.path.split('?').next().unwrap_or_default()
    }

    /// Whether the page is this one, or below it.
    pub fn is_at(&self, path: &str) -> bool {
        let here = self.bare_path();
        here == path
            || (path != "/" && here.strip_prefix(path).is_some_and(|rest| rest.starts_with('/')))
    }
}

/// The theme of that name.
pub fn theme(name: &str) -> Option<&'static str> {
    ["light", "dark"].into_iter().find(|theme| *theme == name)
}

/// What a proxy says that it took off the path.
fn base(headers: &HeaderMap) -> Option<&str> {
    let base = of_proxy(headers, "x-forwarded-prefix")?.trim_end_matches('/');
    (is_base_path(base) && base.len() <= BASE_MAX).then_some(base)
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// What the nearest proxy says: lines before its own are those that it was sent.
fn of_proxy<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get_all(name).iter().next_back()?.to_str().ok()
}

fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|value| value.split(';'));
    pairs.find_map(|pair| pair.trim().strip_prefix(name)?.strip_prefix('='))
}

/// Where a request comes from; a proxy on this host says it of others.
fn address(parts: &Parts) -> (IpAddr, bool) {
    let peer = parts.extensions.get::<Peer>().copied();
    let ip = peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.address.ip());
    // As itself, also where the console listens at both families' addresses.
    let ip = ip.to_canonical();
    let is_encrypted = peer.is_some_and(|peer| peer.is_encrypted);
    if !ip.is_loopback() {
        return (ip, is_encrypted);
    }
    let last = of_proxy(&parts.headers, "x-forwarded-for").and_then(|all| all.rsplit(',').next());
    let forwarded = last.and_then(|ip| ip.trim().parse().ok());
    let is_https = of_proxy(&parts.headers, "x-forwarded-proto") == Some("https");
    (forwarded.unwrap_or(ip), is_encrypted || is_https)
}

/// Somebody who is not logged in, or does not have to be.
#[derive(Clone, Debug)]
pub struct Guest {
    /// Their page.
    pub page: Page,
    /// Where they are.
    pub address: IpAddr,
    /// Whether the browser speaks HTTPS.
    pub is_encrypted: bool,
}

impl FromRequestParts<Pages> for Guest {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, pages: &Pages) -> Result<Self, Response> {
        let (address, is_encrypted) = address(parts);
        Ok(Self { page: Page::of(parts, pages), address, is_encrypted })
    }
}

impl Guest {
    /// A `Set-Cookie` of this console; an empty value removes it.
    pub fn cookie(&self, name: &str, value: &str, is_secret: bool) -> String {
        let path = if self.page.base.is_empty() { "/" } else { &self.page.base };
        let secret = if is_secret { "; HttpOnly" } else { "; Max-Age=31536000" };
        let secure = if self.is_encrypted { "; Secure" } else { "" };
        let gone = if value.is_empty() { "; Max-Age=0" } else { "" };
        format!("{name}={value}; Path={path}; SameSite=Strict{secret}{secure}{gone}")
    }
}

/// Somebody who is logged in.
#[derive(Clone, Debug)]
pub struct Visitor {
    /// Their page.
    pub page: Page,
    /// Where they are.
    pub address: IpAddr,
    /// Who they are.
    pub user: String,
    /// What they may do.
    pub role: Role,
    /// Whether their password was made for them.
    pub must_change: bool,
    /// Their session's token.
    pub token: String,
}

impl FromRequestParts<Pages> for Visitor {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, pages: &Pages) -> Result<Self, Response> {
        let (address, _) = address(parts);
        let mut page = Page::of(parts, pages);
        let token = cookie(&parts.headers, SESSION).unwrap_or_default().to_owned();
        let Some((session, user)) = pages.accounts.session(&token) else {
            return Err(redirect(&page, &log_in(parts, &page)));
        };
        if user.must_change && !WITHOUT_CHANGE.contains(&parts.uri.path()) {
            return Err(redirect(&page, PASSWORD_PATH));
        }
        page.user = Some((session.user.clone(), user.role));
        page.csrf = session.csrf;
        let (role, must_change) = (user.role, user.must_change);
        Ok(Self { page, address, user: session.user, role, must_change, token })
    }
}

/// Where to log in; what a form was to change is not done by that, which is said there.
fn log_in(parts: &Parts, page: &Page) -> String {
    let (back, lost) = if parts.method == "GET" {
        (page.path.as_str(), "")
    } else {
        (came_from(&parts.headers, &page.base).unwrap_or("/"), "lost=yes&")
    };
    if back == "/" && lost.is_empty() {
        return "/login".to_owned();
    }
    format!("/login?{lost}next={}", query_escaped(back))
}

/// The path of the page that a form was sent from, as the console has it.
fn came_from<'a>(headers: &'a HeaderMap, base: &str) -> Option<&'a str> {
    let (_, page) = header(headers, header::REFERER.as_str())?.split_once("://")?;
    page[page.find('/')?..].strip_prefix(base)
}

/// A value of a query.
pub fn query_escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~/".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}

impl Visitor {
    /// Goes on if the visitor may do what this role may.
    ///
    /// # Errors
    /// A page that says so.
    pub fn needs(&self, role: Role) -> Result<(), Failed> {
        if self.role >= role {
            return Ok(());
        }
        let text = self.page.t1("This needs the role {}.", role.name());
        Err(Failed::from(problem(&self.page, StatusCode::FORBIDDEN, &text)))
    }

    /// A page that says what went wrong.
    pub fn failed(&self, error: &AdminError) -> Failed {
        let status = match error {
            AdminError::NotFound(_) => StatusCode::NOT_FOUND,
            AdminError::Invalid(_) => StatusCode::BAD_REQUEST,
            AdminError::Conflict(_) | AdminError::Refused { .. } => StatusCode::CONFLICT,
            AdminError::Unreachable(_) | AdminError::Answer { .. } => StatusCode::BAD_GATEWAY,
        };
        Failed::from(problem(&self.page, status, &error.to_string()))
    }

    /// The same of what a form holds.
    pub fn invalid(&self, text: &str) -> Failed {
        Failed::from(problem(&self.page, StatusCode::BAD_REQUEST, self.page.t(text)))
    }

    /// The same of accounts.
    pub fn refused(&self, refusal: &Refusal) -> Failed {
        Failed::from(problem(
            &self.page,
            refusal_status(refusal),
            &refusal_text(&self.page, refusal),
        ))
    }

    /// Who it is, for the audit log.
    pub fn who(&self) -> String {
        format!("console user {} at {}", self.user, self.address)
    }
}

/// What a refusal is to HTTP.
pub fn refusal_status(refusal: &Refusal) -> StatusCode {
    match refusal {
        Refusal::Wrong => StatusCode::FORBIDDEN,
        Refusal::Wait(_) => StatusCode::TOO_MANY_REQUESTS,
        Refusal::Invalid(_) => StatusCode::BAD_REQUEST,
        Refusal::Broken(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// A refusal in the page's language.
pub fn refusal_text(page: &Page, refusal: &Refusal) -> String {
    match refusal {
        Refusal::Wrong => page.t("This user and password do not belong together.").to_owned(),
        Refusal::Wait(s) => page.t1("Too many tries: wait {} s.", s),
        Refusal::Invalid(text) => page.t(text).to_owned(),
        Refusal::Broken(_) => refusal.to_string(),
    }
}

/// The pairs of a query or of a form.
#[derive(Clone, Debug, Default)]
pub struct Fields(Vec<(String, String)>);

impl Fields {
    /// Those of a query; `None` if it is none.
    pub fn of_query(uri: &Uri) -> Option<Self> {
        Query::try_from_uri(uri).ok().map(|Query(pairs)| Self(pairs))
    }

    /// All of them, as they were written.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// These without some names.
    pub fn without(&self, names: &[&str]) -> Self {
        let kept = self.0.iter().filter(|(name, _)| !names.contains(&name.as_str()));
        Self(kept.cloned().collect())
    }

    /// The first of a name as it was written.
    pub fn first(&self, name: &str) -> Option<&str> {
        self.pairs().find(|(key, _)| *key == name).map(|(_, value)| value)
    }

    /// The first of a name; empty if there is none.
    pub fn get(&self, name: &str) -> &str {
        self.raw(name).trim()
    }

    /// All of a name.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.trim())
    }

    /// The same as it was written, for passwords.
    pub fn raw(&self, name: &str) -> &str {
        self.first(name).unwrap_or_default()
    }

    /// The same, if it is not empty.
    pub fn filled(&self, name: &str) -> Option<String> {
        Some(self.get(name)).filter(|value| !value.is_empty()).map(str::to_owned)
    }

    /// These as they are, for a form that is sent again.
    pub fn kept(
        &self,
        names: impl IntoIterator<Item = &'static str>,
    ) -> Vec<(&'static str, String)> {
        names.into_iter().map(|name| (name, self.get(name).to_owned())).collect()
    }

    /// A number that may be left out.
    ///
    /// # Errors
    /// What is there is none.
    pub fn number_if_any<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>, T::Err> {
        self.filled(name).map(|text| text.parse()).transpose()
    }

    /// The same as a number.
    pub fn number<T: std::str::FromStr>(&self, name: &str) -> Option<T> {
        self.get(name).parse().ok()
    }
}

impl<S: Sync> FromRequestParts<S> for Fields {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Response> {
        let query = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri);
        query.map(|Query(pairs)| Self(pairs)).map_err(IntoResponse::into_response)
    }
}

/// A form of a guest.
#[derive(Debug)]
pub struct GuestForm {
    /// Who.
    pub guest: Guest,
    /// What it holds.
    pub fields: Fields,
}

impl FromRequest<Pages> for GuestForm {
    type Rejection = Response;

    async fn from_request(request: Request, pages: &Pages) -> Result<Self, Response> {
        let (mut parts, body) = request.into_parts();
        let guest = Guest::from_request_parts(&mut parts, pages).await?;
        if header(&parts.headers, "sec-fetch-site") == Some("cross-site") {
            return Err(foreign_form(&guest.page));
        }
        let fields = fields(Request::from_parts(parts, body)).await?;
        Ok(Self { guest, fields })
    }
}

/// A form of somebody who is logged in, sent by a page of theirs.
#[derive(Debug)]
pub struct Posted {
    /// Who.
    pub visitor: Visitor,
    /// What it holds.
    pub fields: Fields,
}

impl FromRequest<Pages> for Posted {
    type Rejection = Response;

    async fn from_request(request: Request, pages: &Pages) -> Result<Self, Response> {
        let (mut parts, body) = request.into_parts();
        let mut visitor = Visitor::from_request_parts(&mut parts, pages).await?;
        let is_own = is_own_page(&parts.headers);
        let fields = match parts.extensions.remove::<Fields>() {
            // One that was read before.
            Some(fields) => fields,
            None => fields(Request::from_parts(parts, body)).await?,
        };
        // As long as a token that nobody can guess, so that how long it takes tells nothing of use.
        let is_of_session = fields.get("csrf") == visitor.page.csrf;
        // Whoever has logged in anew since gets what they typed once more; not what another site wrote.
        if is_of_session || is_own {
            visitor.page.sent = fields.without(&SECRETS);
        }
        if !is_of_session {
            return Err(foreign_form(&visitor.page));
        }
        Ok(Self { visitor, fields })
    }
}

/// Whether a form was sent by a page of this console: the browser says so, in a header that pages cannot set.
fn is_own_page(headers: &HeaderMap) -> bool {
    let origin =
        header(headers, header::ORIGIN.as_str()).and_then(|origin| origin.split_once("://"));
    origin.is_some_and(|(_, host)| Some(host) == header(headers, header::HOST.as_str()))
}

fn foreign_form(page: &Page) -> Response {
    let text = page.t("This form is not of this session, and nothing was done: send it again from here, or open its page again.");
    problem(page, StatusCode::FORBIDDEN, text)
}

async fn fields(request: Request) -> Result<Fields, Response> {
    let form = Form::<Vec<(String, String)>>::from_request(request, &()).await;
    form.map(|Form(pairs)| Fields(pairs)).map_err(IntoResponse::into_response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_are_taken_from_proxies() {
        let of = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert("x-forwarded-prefix", value.parse().unwrap());
            base(&headers).map(str::to_owned)
        };
        assert_eq!(of("/rmq/").as_deref(), Some("/rmq"));
        assert_eq!(of("/").as_deref(), Some(""));
        for wrong in ["rmq", "//evil.example", "/a\"onload", "https://a"] {
            assert_eq!(of(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn only_the_proxy_on_this_host_says_where_others_are() {
        let of = |peer: &str, forwarded: &[&'static str]| {
            let mut request = Request::get("/");
            for line in forwarded {
                request = request.header("x-forwarded-for", *line);
            }
            let (mut parts, ()) = request.body(()).unwrap().into_parts();
            let address = format!("{peer}:1").parse().unwrap();
            parts.extensions.insert(Peer { address, is_encrypted: false });
            super::address(&parts).0.to_string()
        };
        assert_eq!(of("127.0.0.1", &[]), "127.0.0.1");
        assert_eq!(of("127.0.0.1", &["192.0.2.7, 192.0.2.1"]), "192.0.2.1");
        // The first line is the client's own.
        assert_eq!(of("127.0.0.1", &["192.0.2.7", "192.0.2.1"]), "192.0.2.1");
        assert_eq!(of("[::ffff:127.0.0.1]", &["192.0.2.1"]), "192.0.2.1");
        assert_eq!(of("[::ffff:192.0.2.9]", &["192.0.2.1"]), "192.0.2.9");
        assert_eq!(of("192.0.2.9", &["192.0.2.1"]), "192.0.2.9");
    }

    #[test]
    fn a_cookie_is_found_by_its_whole_name() {
        let mut headers = HeaderMap::new();
        headers.insert(
            header::COOKIE,
            "x_rmq_session=1; rmq_session2=2; rmq_session=3".parse().unwrap(),
        );
        assert_eq!(cookie(&headers, SESSION), Some("3"));
        assert_eq!(query_escaped("/a b?c=%"), "/a%20b%3Fc%3D%25");
    }
}
