//! `weir describe`: all about one object, for people.

use unicode_width::UnicodeWidthStr;

use super::pick::object;
use super::session::Session;
use super::{CliError, Cx};
use crate::verbs::{self, Answer, Query, Section};

#[derive(clap::Args, Debug)]
pub struct Args {
    /// Kind and name, e.g. ks apps; source git podinfo; deploy/web
    #[arg(value_name = "KIND", required = true)]
    words: Vec<String>,
}

pub async fn run(cx: &Cx, args: Args) -> Result<(), CliError> {
    let session = Session::open(cx).await?;
    let id = object(&session.desk.cluster, &args.words, &cx.global.namespace()).await?;
    let answer = session.within(cx, verbs::fetch(&session.desk, Query::Describe(id))).await?;
    if let Answer::Description(sections) = answer {
        for (number, section) in sections.iter().enumerate() {
            if number > 0 {
                cx.output.line("")?;
            }
            print(cx, section)?;
        }
    }
    session.close().await;
    Ok(())
}

fn print(cx: &Cx, section: &Section) -> Result<(), CliError> {
    if !section.title.as_str().is_empty() {
        cx.output.line(format!("{}:", section.title))?;
    }
    let indent = if section.title.as_str().is_empty() { "" } else { "  " };
    let width = section.rows.iter().map(|row| row.label.as_str().width()).max().unwrap_or_default();
    for row in &section.rows {
        let label = row.label.as_str();
        let colon = if label.is_empty() { " " } else { ":" };
        let gap = " ".repeat(width - label.width());
        let value = match row.state {
            Some(state) => cx.output.tint(state, row.value.as_str()),
            None => row.value.to_string(),
        };
        match width {
            0 => cx.output.painted(&format!("{indent}{value}"))?,
            _ => cx.output.painted(format!("{indent}{label}{colon}{gap} {value}").trim_end())?,
        }
    }
    Ok(())
}
