//! The log-in and the way out, passwords, and what a visitor chooses: language and theme.
//!
//! Not who is let in (`accounts`).

use askama::Template;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::text::Language;
use super::visitor::{
    Fields, Guest, GuestForm, Page, Posted, SESSION, Visitor, query_escaped, refusal_status,
    refusal_text, theme,
};
use super::{Answer, Pages, html, problem, redirect};

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage<'a> {
    page: &'a Page,
    next: &'a str,
    user: &'a str,
    problem: String,
}

#[derive(Template)]
#[template(path = "password.html")]
struct PasswordPage<'a> {
    page: &'a Page,
    must: bool,
    problem: String,
}

/// A path of the console to go on at; none of another site.
fn next(fields: &Fields) -> &str {
    let next = fields.get("next");
    // Browsers leave out tabs and take `\` for `/`.
    let is_odd = |c: char| c == '\\' || c.is_control();
    let is_path = next.starts_with('/') && !next.starts_with("//") && !next.contains(is_odd);
    if is_path && !next.starts_with("/login") { next } else { "/" }
}

fn with_cookie(mut response: Response, cookie: &str) -> Response {
    if let Ok(value) = HeaderValue::from_str(cookie) {
        response.headers_mut().append(header::SET_COOKIE, value);
    }
    response
}

pub async fn show(guest: Guest, query: Fields) -> Response {
    let page = &guest.page;
    let lost = query.first("lost").map(|_| page.t("What you sent was not done, as your session had ended. Log in in another tab, come back to the form, and send it again."));
    let problem = lost.unwrap_or_default().to_owned();
    html(&LoginPage { page, next: next(&query), user: "", problem })
}

pub async fn log_in(State(pages): State<Pages>, form: GuestForm) -> Response {
    let GuestForm { guest, fields } = form;
    let (user, password) = (fields.get("user"), fields.raw("password"));
    let logging_in = pages.accounts.log_in(guest.address, user.to_owned(), password.to_owned());
    match logging_in.await {
        Ok(token) => {
            let response = redirect(&guest.page, next(&fields));
            with_cookie(response, &guest.cookie(SESSION, &token, true))
        }
        Err(refusal) => {
            let problem = refusal_text(&guest.page, &refusal);
            let shown = LoginPage { page: &guest.page, next: next(&fields), user, problem };
            (refusal_status(&refusal), html(&shown)).into_response()
        }
    }
}

pub async fn log_out(State(pages): State<Pages>, guest: Guest, form: Posted) -> Answer {
    let visitor = form.visitor;
    let ended = pages.accounts.log_out(&visitor.token).await;
    ended.map_err(|refusal| visitor.refused(&refusal))?;
    let response = redirect(&visitor.page, "/login");
    Ok(with_cookie(response, &guest.cookie(SESSION, "", true)))
}

pub async fn show_password(visitor: Visitor) -> Response {
    let must = visitor.must_change;
    html(&PasswordPage { page: &visitor.page, must, problem: String::new() })
}

pub async fn change_password(State(pages): State<Pages>, form: Posted) -> Response {
    let Posted { visitor, fields } = form;
    let must = visitor.must_change;
    let told = |status: StatusCode, problem: String| {
        (status, html(&PasswordPage { page: &visitor.page, must, problem })).into_response()
    };
    if fields.raw("new") != fields.raw("again") {
        let text = visitor.page.t("The new passwords are not the same.").to_owned();
        return told(StatusCode::BAD_REQUEST, text);
    }
    let whose = (visitor.address, visitor.token.as_str());
    let [old, new] = ["old", "new"].map(|name| fields.raw(name).to_owned());
    match pages.accounts.change_password(whose, visitor.user.clone(), old, new).await {
        Ok(()) => redirect(&visitor.page, "/"),
        Err(refusal) => told(refusal_status(&refusal), refusal_text(&visitor.page, &refusal)),
    }
}

/// Keeps the language or the theme that was chosen, and goes back.
pub async fn choose(guest: Guest, query: Fields) -> Response {
    let mut response = redirect(&guest.page, next(&query));
    if let Some(language) = Language::named(query.get("language")) {
        response = with_cookie(response, &guest.cookie("rmq_language", language.code(), false));
    }
    let chosen = query.get("theme");
    if theme(chosen).is_some() || chosen == "auto" {
        let value = theme(chosen).unwrap_or_default();
        response = with_cookie(response, &guest.cookie("rmq_theme", value, false));
    }
    response
}

pub async fn not_found(guest: Guest) -> Response {
    problem(&guest.page, StatusCode::NOT_FOUND, guest.page.t("There is no such page."))
}

impl Page {
    /// The way to [`choose`] and back here.
    pub fn choice(&self, what: &str, value: &str) -> String {
        format!("{}/choose?{what}={value}&next={}", self.base, query_escaped(&self.path))
    }
}

#[cfg(test)]
mod tests {
    use axum::extract::FromRequestParts;
    use axum::http::Request;

    use super::*;

    #[tokio::test]
    async fn after_the_log_in_nobody_is_sent_elsewhere() {
        for (asked, expected) in [
            ("/topics?q=a", "/topics?q=a"),
            ("//evil.example", "/"),
            ("/\\evil.example", "/"),
            ("/\t/evil.example", "/"),
            ("https://evil.example", "/"),
            ("/login", "/"),
            ("", "/"),
        ] {
            let request =
                Request::get(format!("/login?next={}", query_escaped(asked))).body(()).unwrap();
            let mut parts = request.into_parts().0;
            let fields = Fields::from_request_parts(&mut parts, &()).await.unwrap();
            assert_eq!(next(&fields), expected, "{asked}");
        }
    }
}
