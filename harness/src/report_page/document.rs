//! The HTML around the data of a page: one file without anything from elsewhere.

use serde_json::Value;
use sha2::{Digest, Sha256};

/// HTML of every page, with `{{names}}` for what differs.
const SHELL: &str = include_str!("view/shell.html");
/// Style of every page.
const STYLE: &str = include_str!("view/page.css");
/// What every view uses: elements, numbers with units, charts; and what begins to draw.
const SCRIPTS: [&str; 5] = [
    include_str!("view/elements.js"),
    include_str!("view/format.js"),
    include_str!("view/chart.js"),
    include_str!("view/marks.js"),
    include_str!("view/live.js"),
];
/// Draws all sections.
const START: &str = include_str!("view/start.js");

/// Data in the page: JSON that its scripts read.
#[derive(Debug)]
pub(super) struct Island {
    /// The element's id.
    pub(super) id: &'static str,
    pub(super) value: Value,
}

/// A page.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) title: String,
    /// One sentence for readers without scripts.
    pub(super) summary: String,
    pub(super) islands: Vec<Island>,
    /// Scripts of its sections, in their order.
    pub(super) views: Vec<&'static str>,
    /// Whether it asks the server that it comes from for its data.
    pub(super) is_live: bool,
}

impl Document {
    /// The page as text.
    pub(super) fn html(&self) -> String {
        let script = [&SCRIPTS[..], &self.views[..], &[START]].concat().join("\n");
        let island = |Island { id, value }: &Island| {
            format!("<script type=\"application/json\" id=\"{id}\">{}</script>", json_in_html(value))
        };
        let islands: Vec<String> = self.islands.iter().map(island).collect();
        let parts = [
            ("policy", policy(&script, self.is_live)),
            ("title", escaped(&self.title)),
            ("summary", escaped(&self.summary)),
            ("style", STYLE.to_owned()),
            ("islands", islands.join("\n")),
            ("script", script),
        ];
        // In one pass, so that what is filled in is not searched again.
        let mut pieces = SHELL.split("{{");
        let mut html = pieces.next().unwrap_or_default().to_owned();
        for piece in pieces {
            let (name, rest) = piece.split_once("}}").expect("every name in the shell ends");
            let (_, text) = parts.iter().find(|(part, _)| *part == name).expect("every name in the shell is known");
            html.push_str(text);
            html.push_str(rest);
        }
        html
    }
}

/// What the page may load and run: its own style, and this script alone; and where it is live, data of its own server.
fn policy(script: &str, is_live: bool) -> String {
    let hash = base64(&Sha256::digest(script.as_bytes()));
    let connect = if is_live { "; connect-src 'self'" } else { "" };
    format!("default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src 'sha256-{hash}'{connect}")
}

/// Text in HTML, also within quotes.
fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            letter => html.push(letter),
        }
    }
    html
}

/// JSON within a script element. No text in it can end the element or begin a comment.
fn json_in_html(value: &Value) -> String {
    let json = value.to_string();
    json.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

/// Base64 of RFC 4648, as a content security policy writes a hash.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let group = chunk.iter().fold(0_u32, |group, &byte| group << 8 | u32::from(byte)) << (8 * (3 - chunk.len()));
        for at in 0..4 {
            let letter = LETTERS[(group >> (18 - 6 * at) & 63) as usize];
            text.push(if at <= chunk.len() { letter as char } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_the_rfc() {
        let vectors =
            [("", ""), ("f", "Zg=="), ("hi", "aGk="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE=")];
        for (bytes, text) in vectors {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }

    #[test]
    fn no_text_leaves_its_place() {
        let hostile = "</script><script>alert(1)</script><!-- & \" ' {{style}}";
        let document = Document {
            title: hostile.to_owned(),
            summary: hostile.to_owned(),
            islands: vec![Island { id: "data", value: Value::from(hostile) }],
            views: Vec::new(),
            is_live: false,
        };
        let html = document.html();
        assert!(!html.contains("<script>alert"), "{html}");
        let (_, island) = html.split_once("id=\"data\">").unwrap();
        let (json, _) = island.split_once("</script>").unwrap();
        assert_eq!(serde_json::from_str::<Value>(json).unwrap(), hostile);
        assert_eq!(html.matches(STYLE).count(), 1);
    }

    #[test]
    fn scripts_and_style_cannot_end_their_elements() {
        for text in SCRIPTS.iter().chain([&START, &STYLE]) {
            assert!(!text.contains("</"), "the text would end its element: {text}");
        }
    }
}
