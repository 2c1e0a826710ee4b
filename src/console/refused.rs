//! Forms that were refused, once more: filled in as they were sent, with the reason above.
//!
//! Handlers only say no, by a page of a problem; here the page that the form is on is asked for again, as by who sent it,
//! and the form on it filled in as a browser would. Invariants: nothing is done by that; no password and no secret is shown
//! again; where the page cannot be had, or has no such form, the problem's own page is what is shown.

use std::time::Duration;

use askama::filters::{Escaper, Html};
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{Method, Uri, header};
use axum::middleware::Next;
use axum::response::Response;

use super::page_for;
use super::visitor::Fields;

/// How long the page may take: with what the refusal took it stays below what an answer may take.
const AGAIN_MAX: Duration = Duration::from_secs(8);
/// What a form holds that nobody typed.
const UNSEEN: [&str; 2] = ["csrf", "sure"];

/// Goes with a page of a problem.
#[derive(Clone, Debug)]
pub struct Refused {
    /// What went wrong.
    pub text: String,
    /// The same in a few words, for the title.
    pub title: String,
    /// Where the form was sent to, as it stands in the page.
    pub action: String,
    /// What it held, without secrets.
    pub sent: Fields,
}

/// Shows what is refused as its form again.
pub async fn again(State(pages): State<Router>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let asked = parts.clone();
    let mut response = next.run(Request::from_parts(parts, body)).await;
    let Some(refused) = response.extensions_mut().remove::<Refused>() else { return response };
    let shown = tokio::time::timeout(AGAIN_MAX, shown(&pages, &asked, refused)).await;
    if let Ok(Some(page)) = shown {
        response.headers_mut().remove(header::CONTENT_LENGTH);
        *response.body_mut() = Body::from(page);
    }
    response
}

async fn shown(pages: &Router, asked: &Parts, mut refused: Refused) -> Option<String> {
    let mut places = Vec::new();
    let method = if asked.method == Method::GET {
        asked.uri.query()?;
        refused.sent = Fields::of_query(&asked.uri)?;
        places.push((asked.uri.path().parse().ok()?, None));
        "get"
    } else {
        // Who was sure has typed something on the page that asked, or on the one before it.
        if refused.sent.get("sure") == "yes" {
            places.push((asked.uri.clone(), Some(refused.sent.without(&["sure"]))));
        }
        places.extend(places_of(asked).into_iter().map(|place| (place, None)));
        "post"
    };
    for (place, form) in places {
        if let Some(page) = page_for(pages, asked, place, form).await
            && let Some(filled) = filled(&page, method, &refused)
        {
            return Some(filled);
        }
    }
    None
}

/// Where the page of a form may be: at the form's own path, or above it; first as it was when the form was sent.
fn places_of(asked: &Parts) -> Vec<Uri> {
    let path = asked.uri.path();
    let above = path.rsplit_once('/').map(|(above, _)| above).filter(|above| !above.is_empty());
    let places = [Some(path), above];
    let places = places.into_iter().flatten();
    let from = asked.headers.get(header::REFERER).and_then(|from| from.to_str().ok());
    let query = |place: &str| {
        let (page, query) = from?.split_once('?')?;
        // Before it stand the host, and what a proxy takes off.
        page.ends_with(place).then(|| format!("{place}?{query}"))
    };
    let mut uris: Vec<String> = places.clone().filter_map(query).collect();
    uris.extend(places.map(str::to_owned));
    uris.iter().filter_map(|uri| uri.parse().ok()).collect()
}

/// The page with the form filled in and the reason above it; `None` if there is no such form, or nothing to fill in.
///
/// Pages are our own: their attributes stand in double quotes, `selected` and `checked` last, and no text has a `<` or `>`.
fn filled(page: &str, method: &str, refused: &Refused) -> Option<String> {
    let method = format!(" method=\"{method}\"");
    let action = format!(" action=\"{}\"", html_escaped(&refused.action));
    let mut from = 0;
    loop {
        let start = from + page[from..].find("<form ")?;
        let open = start + page[start..].find('>')? + 1;
        let end = open + page[open..].find("</form>")?;
        let (tag, form) = (&page[start..open], &page[open..end]);
        if tag.contains(&method)
            && tag.contains(&action)
            && has_all(form, &refused.sent)
            && let Some(form) = filled_in(form, &refused.sent)
        {
            let before = opened(&page[..start], &refused.title);
            let text = html_escaped(&refused.text);
            let note = format!(
                "<p class=\"note bad\" role=\"alert\" id=\"refused\" tabindex=\"-1\" autofocus>{text}</p>\n"
            );
            return Some([before.as_str(), &note, tag, &form, &page[end..]].concat());
        }
        from = end;
    }
}

/// Whether everything that somebody typed or chose has its place in the form: others are sent to the same path.
fn has_all(form: &str, sent: &Fields) -> bool {
    let mut typed =
        sent.pairs().filter(|(name, value)| !value.is_empty() && !UNSEEN.contains(name));
    typed.all(|(name, _)| form.contains(&format!(" name=\"{}\"", html_escaped(name))))
}

/// What stands before the form, with its title, and opened where the form is folded away.
fn opened(before: &str, title: &str) -> String {
    let mut before = before.replacen("<title>", &format!("<title>{} · ", html_escaped(title)), 1);
    if let Some(at) = before.rfind("<details>")
        && !before[at..].contains("</details>")
    {
        before.insert_str(at + "<details".len(), " open");
    }
    before
}

/// What is in a form, filled in anew; `None` if there is nothing to type or to choose.
fn filled_in(form: &str, sent: &Fields) -> Option<String> {
    let mut filled = String::with_capacity(2 * form.len());
    let (mut rest, mut select, mut has_field) = (form, None, false);
    while let Some(at) = rest.find('<') {
        let end = at + rest[at..].find('>')? + 1;
        filled.push_str(&rest[..at]);
        let tag = &rest[at..end];
        rest = &rest[end..];
        let name = attribute(tag, "name").unwrap_or_default();
        let kind = attribute(tag, "type").unwrap_or_default();
        let is_sent = |value: &str| sent.all(name).any(|one| html_escaped(one) == value);
        match tag.split([' ', '>']).next().unwrap_or_default() {
            "<input" if kind == "hidden" => filled.push_str(tag),
            "<input" if ["checkbox", "radio"].contains(&kind) => {
                has_field = true;
                filled.push_str(&marked(tag, "checked", is_sent(attribute(tag, "value")?)));
            }
            "<input" => {
                has_field = true;
                filled.push_str(&with_value(tag, sent.first(name)));
            }
            "<textarea" => {
                has_field = true;
                let (text, behind) = rest.split_once("</textarea>")?;
                // The first end of a line does not count.
                let sent = sent.first(name).map(|sent| format!("\n{}", html_escaped(sent)));
                filled.extend([tag, sent.as_deref().unwrap_or(text), "</textarea>"]);
                rest = behind;
            }
            "<select" => {
                has_field = true;
                select = sent.first(name);
                filled.push_str(tag);
            }
            "</select" => {
                select = None;
                filled.push_str(tag);
            }
            "<option" if select.is_some() => {
                let text = rest.split('<').next().unwrap_or_default();
                let value = attribute(tag, "value").unwrap_or(text);
                filled.push_str(&marked(
                    tag,
                    "selected",
                    select.map(html_escaped).as_deref() == Some(value),
                ));
            }
            _ => filled.push_str(tag),
        }
    }
    filled.push_str(rest);
    has_field.then_some(filled)
}

fn attribute<'a>(tag: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = tag.split_once(&format!(" {name}=\""))?;
    rest.split('"').next()
}

/// An input with this value, if there is one.
fn with_value(tag: &str, value: Option<&str>) -> String {
    let Some(value) = value else { return tag.to_owned() };
    let old = attribute(tag, "value").map(|old| format!(" value=\"{old}\""));
    let bare = old.map_or_else(|| tag.to_owned(), |old| tag.replacen(&old, "", 1));
    format!("{} value=\"{}\">", bare.trim_end_matches('>'), html_escaped(value))
}

/// A tag with or without this mark.
fn marked(tag: &str, mark: &str, is_marked: bool) -> String {
    let bare = tag.trim_end_matches('>');
    let bare = bare.strip_suffix(&format!(" {mark}")).unwrap_or(bare);
    if is_marked { format!("{bare} {mark}>") } else { format!("{bare}>") }
}

/// As templates write a text.
fn html_escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    // A text takes everything.
    let _ = Html.write_escaped_str(&mut escaped, text);
    escaped
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::super::visitor::SECRETS;
    use super::*;

    fn refused(action: &str, query: &str) -> Refused {
        Refused {
            text: "it is <wrong>".to_owned(),
            title: "It did not work".to_owned(),
            action: action.to_owned(),
            sent: Fields::of_query(&format!("/?{query}").parse().unwrap()).unwrap(),
        }
    }

    #[test]
    fn every_kind_of_field_is_filled_in() {
        let form = r#"<input type="hidden" name="csrf" value="token">
<input name="topic" required value="before"><input name="queues" type="number" min="1">
<select name="broker"><option value="">all</option><option>a&#38;b</option></select>
<select name="role"><option value="x" selected>x</option><option value="y">y</option></select>
<input type="checkbox" name="place" value="1" checked><input type="checkbox" name="place" value="2">
<textarea name="body" rows="4">old</textarea><input name="secret" type="password"><input name="kept" value="k">"#;
        let sent = refused(
            "",
            "csrf=other&topic=T%22%3E&queues=many&broker=a%26b&role=y&place=2&body=%0Aa%3Cb",
        );
        let expected = r#"<input type="hidden" name="csrf" value="token">
<input name="topic" required value="T&#34;&#62;"><input name="queues" type="number" min="1" value="many">
<select name="broker"><option value="">all</option><option selected>a&#38;b</option></select>
<select name="role"><option value="x">x</option><option value="y" selected>y</option></select>
<input type="checkbox" name="place" value="1"><input type="checkbox" name="place" value="2" checked>
<textarea name="body" rows="4">

a&#60;b</textarea><input name="secret" type="password"><input name="kept" value="k">"#;
        assert_eq!(filled_in(form, &sent.sent).unwrap(), expected);
        assert_eq!(
            filled_in(r#"<input type="hidden" name="a" value="b"><button>c</button>"#, &sent.sent),
            None
        );
    }

    #[test]
    fn the_form_is_found_by_where_it_goes_and_by_what_was_sent() {
        let page = r#"<title>Users</title>
<form method="post" action="/users"><input type="hidden" name="user" value="a"><input type="hidden" name="action" value="remove"></form>
<details><summary>New</summary>
<form class="grid" method="post" action="/users"><input name="user"></form></details>
<form method="get" action="/users"><input name="q"></form>"#;
        let shown =
            filled(page, "post", &refused("/users", "user=a%20b&action=&sure=yes")).unwrap();
        assert!(shown.starts_with("<title>It did not work · Users</title>"), "{shown}");
        let form = "autofocus>it is &#60;wrong&#62;</p>\n<form class=\"grid\" method=\"post\" action=\"/users\"><input name=\"user\" value=\"a b\"></form>";
        assert!(shown.contains(form) && shown.contains("<details open>"), "{shown}");
        let shown = filled(page, "get", &refused("/users", "q=x")).unwrap();
        assert!(
            shown.contains("<input name=\"q\" value=\"x\">") && shown.contains("<details>"),
            "{shown}"
        );
        // What no form can hold.
        assert_eq!(filled(page, "post", &refused("/users", "user=a&action=remove")), None);
        assert_eq!(filled(page, "post", &refused("/other", "user=a")), None);
    }

    #[test]
    fn a_page_is_looked_for_where_the_form_came_from_first() {
        let of = |path: &str, from: &str| {
            let request = Request::post(path).header(header::REFERER, from);
            let (parts, ()) = request.body(()).unwrap().into_parts();
            places_of(&parts).iter().map(Uri::to_string).collect::<Vec<_>>()
        };
        let from = "https://host/rmq/dead-letters/g?id=1";
        let expected = ["/dead-letters/g?id=1", "/dead-letters/g/resend", "/dead-letters/g"];
        assert_eq!(of("/dead-letters/g/resend", from), expected);
        assert_eq!(of("/topics", "http://host/topics?q=a"), ["/topics?q=a", "/topics"]);
        assert_eq!(
            of("/groups/g/reset", "http://host/elsewhere?a=b"),
            ["/groups/g/reset", "/groups/g"]
        );
    }

    #[test]
    fn forms_are_written_so_that_they_are_read() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/console/pages");
        let mut fields = 0;
        for entry in fs::read_dir(folder).unwrap() {
            let text = fs::read_to_string(entry.unwrap().path()).unwrap();
            for mark in [" selected", " checked"] {
                assert_eq!(
                    text.matches(mark).count(),
                    text.matches(&format!("{mark}{{% endif %}}>")).count()
                );
            }
            for tag in text.split("<input ").skip(1).map(|rest| rest.split('>').next().unwrap()) {
                let tag = format!("<input {tag}");
                if attribute(&tag, "type") == Some("password") {
                    let name = attribute(&tag, "name").unwrap();
                    assert!(SECRETS.contains(&name), "{name} would be shown again");
                }
                fields += 1;
            }
        }
        assert!(fields > 50, "{fields}");
    }
}
