//! Tags: what a policy made of every tag, as a page of sections.

use super::{Desk, Refusal, Row, Section, refuse};
use crate::base::{Id, State, Text};
use crate::engine::policy::{Fate, Reasons};

/// Tags that a page shows; the winner stands first, so what is cut matters least.
const SHOWN: usize = 2_000;

pub(super) async fn tags(desk: &Desk, id: Id) -> Result<Vec<Section>, Refusal> {
    let Some(reasons) = &desk.reasons else {
        let message = format!("the tags behind {id} are not known here");
        return Err(refuse(message, "run weir with its reconcilers, or pipe tags to `weir image select --explain`"));
    };
    let answer = tokio::time::timeout(super::DEADLINE, reasons(id.clone())).await;
    let told = answer.unwrap_or_else(|_| {
        let message = format!("{id}: no tags within {} s", super::DEADLINE.as_secs());
        Err(refuse(message, "look at its ImageRepository"))
    })?;
    Ok(sections(&told))
}

fn sections(told: &Reasons) -> Vec<Section> {
    let row =
        |label: &str, value: String, state| Row { label: Text::new(label), value: Text::new(value), state, link: None };
    let chosen = match &told.outcome {
        Ok(tag) => row("Chosen", tag.clone(), Some(State::Ready)),
        Err(error) => row("Chosen", error.to_string(), Some(State::Failed)),
    };
    let mut about = vec![row("Image", told.image.clone(), None), row("Rule", told.rule.clone(), None), chosen];
    about.push(row("Tags", told.reasons.len().to_string(), None));
    let tag = |reason: &crate::engine::policy::Reason| {
        let compared = match reason.value.is_empty() || reason.value == reason.tag {
            true => String::new(),
            false => format!(" (compared as {})", reason.value),
        };
        let state = match reason.fate {
            Fate::Won => Some(State::Ready),
            Fate::Unfit(_) => Some(State::Unknown),
            Fate::Lost(_) | Fate::FilteredOut(_) => None,
        };
        let why = match reason.fate {
            Fate::Won => String::new(),
            _ => format!(": {}", reason.fate),
        };
        row(&reason.tag, format!("{}{why}{compared}", reason.fate.word()), state)
    };
    let mut rows: Vec<Row> = told.reasons.iter().take(SHOWN).map(tag).collect();
    if told.reasons.len() > SHOWN {
        rows.push(row("…", format!("and {} more", told.reasons.len() - SHOWN), None));
    }
    vec![
        Section { title: Text::new("Policy"), rows: about },
        Section { title: Text::new("What became of each tag"), rows },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::policy::{Policy, Rule};

    #[test]
    fn the_winner_stands_first_and_hostile_tags_are_cleaned() {
        let policy = Policy { rule: Rule::semver("1.x").unwrap(), filter: None };
        let tags = ["1.0.0", "1.2.0", "x\x1b[2J"].map(String::from);
        let sections = sections(&Reasons::of(&policy, "ghcr.io/a".into(), &tags));
        let shown: Vec<String> = sections[1].rows.iter().map(|row| format!("{} {}", row.label, row.value)).collect();
        assert_eq!(shown[0], "1.2.0 chosen");
        assert_eq!(shown[1], "1.0.0 lost: 1.2.0 is the higher version");
        assert!(!shown[2].contains('\x1b') && shown[2].contains("unfit"), "{shown:?}");
    }
}
