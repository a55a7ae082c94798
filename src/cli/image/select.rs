//! `weir image select`: which of some tags a policy chooses, and why each other one lost.

use std::io::Read as _;

use crate::base::Stamp;
use crate::cli::output::Table;
use crate::cli::{CliError, Cx};
use crate::engine::policy::legacy::{Built, Pattern};
use crate::engine::policy::{Filter, Order, Policy, PolicyError, Rule};

/// More input than any registry has tags.
const INPUT_BYTES: u64 = 512 << 20;

#[derive(clap::Args, Debug)]
#[command(group = clap::ArgGroup::new("rule").required(true))]
pub struct Args {
    /// Choose the highest version in a range, e.g. ">=1.0.0 <2.0.0"
    #[arg(long, value_name = "RANGE", group = "rule")]
    select_semver: Option<String>,
    /// Choose by the alphabet: asc takes the last, desc the first
    #[arg(long, value_name = "ORDER", group = "rule")]
    select_alpha: Option<String>,
    /// Choose by number: asc takes the largest, desc the smallest
    #[arg(long, value_name = "ORDER", group = "rule")]
    select_numeric: Option<String>,
    /// Choose as Flux v1's annotations do: semver:RANGE, regex:PATTERN or glob:PATTERN; lines are tag, tab, build date
    #[arg(long, value_name = "FILTER", group = "rule", conflicts_with_all = ["filter_regex", "filter_extract"])]
    legacy: Option<String>,
    /// Regular expression that tags must match
    #[arg(long, value_name = "PATTERN")]
    filter_regex: Option<String>,
    /// What of a matching tag is compared, e.g. '$ts' for a group named ts
    #[arg(long, value_name = "TEMPLATE", requires = "filter_regex")]
    filter_extract: Option<String>,
    /// Print every tag with what became of it
    #[arg(long)]
    explain: bool,
}

pub fn run(cx: &Cx, args: &Args) -> Result<(), CliError> {
    let policy = match &args.legacy {
        Some(_) => None,
        None => Some(policy(args).map_err(|error| CliError::user(error.to_string(), ""))?),
    };
    let mut input = String::new();
    let read = std::io::stdin().lock().take(INPUT_BYTES).read_to_string(&mut input);
    read.map_err(|error| CliError::user(format!("stdin cannot be read: {error}"), ""))?;
    let lines = input.lines().map(|line| line.strip_suffix('\r').unwrap_or(line)).filter(|line| !line.is_empty());
    match (policy, &args.legacy) {
        (Some(policy), _) => by_policy(cx, &policy, &lines.collect::<Vec<_>>(), args.explain),
        (None, pattern) => by_pattern(cx, &Pattern::read(pattern.as_deref().unwrap_or("glob:*")), lines, args.explain),
    }
}

fn policy(args: &Args) -> Result<Policy, PolicyError> {
    let rule = match (&args.select_semver, &args.select_alpha, &args.select_numeric) {
        (Some(range), ..) => Rule::semver(range)?,
        (_, Some(order), _) => Rule::Alphabetical(Order::parse(order)?),
        (.., Some(order)) => Rule::Numerical(Order::parse(order)?),
        (None, None, None) => return Err(PolicyError::NoRule),
    };
    let extract = args.filter_extract.as_deref().unwrap_or_default();
    let filter = args.filter_regex.as_deref().map(|pattern| Filter::new(pattern, extract)).transpose()?;
    Ok(Policy { rule, filter })
}

fn by_policy(cx: &Cx, policy: &Policy, tags: &[&str], explain: bool) -> Result<(), CliError> {
    let outcome = if explain {
        let (outcome, verdicts) = policy.explain(tags);
        let mut table = Table::new(["TAG", "COMPARED AS", "RESULT", "REASON"]);
        for verdict in &verdicts {
            table.row(None, [verdict.tag, &verdict.value, verdict.fate.word(), &verdict.fate.to_string()]);
        }
        cx.output.table(&table)?;
        outcome
    } else {
        policy.latest(tags)
    };
    match outcome {
        Ok(_) if explain => Ok(()),
        Ok(tag) => cx.output.line(tag),
        Err(error) => {
            let count = tags.len();
            let (why, hint) = match (&error, &policy.filter) {
                _ if tags.is_empty() => ("there are none".to_owned(), "write tags to stdin, one a line"),
                (PolicyError::NoTags, Some(filter)) => (format!("none matches {}", filter.pattern), ""),
                _ if explain => (error.to_string(), ""),
                _ => (error.to_string(), "--explain shows what became of each tag"),
            };
            Err(CliError::user(format!("no tag was chosen of {count}: {why}"), hint))
        }
    }
}

fn by_pattern<'l>(
    cx: &Cx,
    pattern: &Pattern,
    lines: impl Iterator<Item = &'l str>,
    explain: bool,
) -> Result<(), CliError> {
    if pattern.is_unreadable() {
        cx.output.warning(format!("{pattern} cannot be read and so matches every tag, as it did in Flux v1"));
    }
    let tags: Vec<Built> = lines.map(built).collect::<Result<_, _>>()?;
    let winner = pattern.latest(&tags);
    if explain {
        let mut table = Table::new(["TAG", "BUILT", "RESULT", "REASON"]);
        let kept = pattern.sorted(&tags);
        let left_out = tags.iter().filter(|built| !pattern.matches(&built.tag));
        for built in kept.into_iter().chain(left_out) {
            let created = built.created.map(|stamp| stamp.to_string()).unwrap_or_default();
            let result = match () {
                () if winner == Some(built) => "chosen",
                () if pattern.matches(&built.tag) => "lost",
                () => "filtered",
            };
            table.row(None, [&built.tag, &created, result, &pattern.why(built, winner)]);
        }
        cx.output.table(&table)?;
    }
    match winner {
        Some(_) if explain => Ok(()),
        Some(built) => cx.output.line(&built.tag),
        None if pattern.needs_dates() && tags.iter().any(|built| pattern.matches(&built.tag)) => {
            let hint = "write lines as tag, tab, RFC 3339 time";
            Err(CliError::user(
                format!("no tag was chosen: {pattern} takes the newest, and no build date is known"),
                hint,
            ))
        }
        None => Err(CliError::user(format!("no tag was chosen: none of {} matches {pattern}", tags.len()), "")),
    }
}

fn built(line: &str) -> Result<Built, CliError> {
    let (tag, created) = line.split_once('\t').unwrap_or((line, ""));
    let created = match created.trim() {
        "" => None,
        text => Some(text.parse::<Stamp>().map_err(|_| {
            CliError::user(format!("{text:?} is not an RFC 3339 time"), "write it like 2026-01-31T10:00:00Z")
        })?),
    };
    Ok(Built { tag: tag.to_owned(), created })
}
