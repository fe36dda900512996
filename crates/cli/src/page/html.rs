//! The page: one self-contained file that makes no requests.

use serde::Serialize;
use std::fmt::Write;

const STYLES: [&str; 2] = [
    include_str!("../../assets/report/uplot/uPlot.min.css"),
    include_str!("../../assets/report/style.css"),
];
const UPLOT: &str = include_str!("../../assets/report/uplot/uPlot.iife.min.js");
const BASE: &str = include_str!("../../assets/report/base.js");
const TABLE: &str = include_str!("../../assets/report/table.js");
const LICENCE: &str = include_str!("../../assets/report/uplot/LICENSE");

/// A page without its data.
struct Template {
    /// The HTML elements.
    elements: &'static str,
    /// The scripts, in order.
    scripts: &'static [&'static str],
}

/// The page of `braid report`.
const REPORT: Template = Template {
    elements: include_str!("../../assets/report/page.html"),
    scripts: &[
        UPLOT,
        BASE,
        TABLE,
        include_str!("../../assets/report/lanes.js"),
        include_str!("../../assets/report/speedup.js"),
        include_str!("../../assets/report/timeline.js"),
        include_str!("../../assets/report/graph.js"),
        include_str!("../../assets/report/heat.js"),
        include_str!("../../assets/report/main.js"),
    ],
};

/// The page of `braid survey`.
const SURVEY: Template = Template {
    elements: include_str!("../../assets/report/survey.html"),
    scripts: &[
        UPLOT,
        BASE,
        TABLE,
        include_str!("../../assets/report/spread.js"),
        include_str!("../../assets/report/survey.js"),
    ],
};

/// Renders the page with `blocks`, each with a name for people.
///
/// # Errors
/// Returns an error if a block cannot be written as JSON.
pub fn page<T: Serialize>(blocks: &[(String, T)]) -> serde_json::Result<String> {
    let mut data = String::new();
    for (name, block) in blocks {
        data += &data_script("block", name, block)?;
    }
    let title = match blocks {
        [(name, _)] => escaped(name),
        _ => format!("{} blocks", blocks.len()),
    };
    Ok(REPORT.filled(title, data))
}

/// Renders the page of a survey with this title.
///
/// # Errors
/// Returns an error if the survey cannot be written as JSON.
pub fn survey_page(title: &str, survey: &impl Serialize) -> serde_json::Result<String> {
    Ok(SURVEY.filled(escaped(title), data_script("survey", title, survey)?))
}

/// Renders data as a script element.
fn data_script(class: &str, name: &str, data: &impl Serialize) -> serde_json::Result<String> {
    let json = in_script(&serde_json::to_string(data)?);
    let name = escaped(name);
    Ok(format!(
        "<script type=\"application/json\" class=\"{class}\" data-name=\"{name}\">{json}</script>\n"
    ))
}

impl Template {
    fn filled(&self, title: String, data: String) -> String {
        let scripts = self.scripts.join("\n");
        debug_assert!(
            !scripts.to_ascii_lowercase().contains("</script"),
            "a script ends another one"
        );
        let parts = [
            ("{{version}}", env!("CARGO_PKG_VERSION").to_owned()),
            ("{{style}}", STYLES.join("\n")),
            ("{{licence}}", escaped(LICENCE)),
            ("{{script}}", scripts),
            // Last, because names from users may look like a placeholder.
            ("{{title}}", title),
            ("{{data}}", data),
        ];
        filled(self.elements, &parts)
    }
}

/// Replaces the placeholders of `template` by their `parts`. Inserted text is not searched for
/// further placeholders.
fn filled(template: &str, parts: &[(&str, String)]) -> String {
    let mut page = String::new();
    let mut rest = template;
    while let Some(at) = rest.find("{{") {
        page.push_str(&rest[..at]);
        rest = &rest[at..];
        let part = parts.iter().find(|(name, _)| rest.starts_with(name));
        let (length, text) = part.map_or((2, "{{"), |(name, text)| (name.len(), text.as_str()));
        page.push_str(text);
        rest = &rest[length..];
    }
    page + rest
}

/// Escapes JSON so that no HTML parser finds markup or the end of a script in it.
fn in_script(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for letter in json.chars() {
        match letter {
            // In JSON, these characters occur only in strings, where they may be escaped.
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                let _ = write!(text, "\\u{:04x}", u32::from(letter));
            }
            _ => text.push(letter),
        }
    }
    text
}

/// Escapes text for HTML, including attributes.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            _ => escaped.push(letter),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_escaped_and_json_stays_the_same() {
        let hostile = "</script><script>alert(1)</script>&amp;\u{2028}\u{2029}<!-- \"'";
        let json = serde_json::to_string(hostile).unwrap();
        let written = in_script(&json);
        for letter in ['<', '>', '&', '\u{2028}', '\u{2029}'] {
            assert!(!written.contains(letter), "{written}");
        }
        assert_eq!(serde_json::from_str::<String>(&written).unwrap(), hostile);
        let text = escaped(hostile);
        for letter in ['<', '>', '"', '\''] {
            assert!(!text.contains(letter), "{text}");
        }
        assert!(text.contains("&amp;amp;"), "{text}");
    }

    #[test]
    fn a_part_is_filled_in_once() {
        let parts = [("{{a}}", "{{b}} {{a}}".to_owned()), ("{{b}}", "two".to_owned())];
        assert_eq!(filled("x{{a}}y{{b}}{{c}}z", &parts), "x{{b}} {{a}}ytwo{{c}}z");
    }

    #[test]
    fn every_part_of_a_page_is_filled_in() {
        let report = page(&[("a {{data}} block".to_owned(), "{{script}}")]).unwrap();
        let survey = survey_page("a {{data}} block", &"{{script}}").unwrap();
        for (page, template) in [(report, REPORT), (survey, SURVEY)] {
            let (before, after) = page.split_once("data-name=\"").unwrap();
            assert!(after.starts_with("a {{data}} block\">\"{{script}}\"</script>"));
            assert!(!before.contains("{{style}}") && !before.contains("{{version}}"));
            assert!(!template.scripts.join("\n").to_ascii_lowercase().contains("</script"));
        }
        assert!(!STYLES.join("\n").to_ascii_lowercase().contains("</style"));
    }
}
