//! Why a template failed: a chain from the outermost call to the cause, and the text Helm makes of it.
//!
//! Start with [`Failure`]; [`Failure::shown`] is what a person reads.
//! Source: helm pkg/engine (reformatExecErrorMsg, cleanupParseError).

/// What kind of failure it is, as far as its treatment differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FailureKind {
    /// A function said no.
    Plain,
    /// Running a template failed at a place.
    Exec,
    /// A limit of weir's own was reached.
    Limit,
}

/// A failure with its cause; every text is only what this level adds in front of its cause.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    pub kind: FailureKind,
    pub text: String,
    pub cause: Option<Box<Failure>>,
    /// What `lookup` wanted and nobody had brought.
    pub need: Option<super::Lookup>,
}

/// The result of everything that runs.
pub(super) type Answer<T> = Result<T, Box<Failure>>;

/// Marks where the message of `fail` and `required` starts, so that it alone is shown.
pub(super) const MESSAGE_START: &str = "HELM_ERR_START";
/// Marks where it ends.
pub(super) const MESSAGE_END: &str = "HELM_ERR_END";

impl Failure {
    pub fn plain(text: impl Into<String>) -> Box<Self> {
        Box::new(Failure { kind: FailureKind::Plain, text: text.into(), cause: None, need: None })
    }

    pub fn limit(text: impl Into<String>) -> Box<Self> {
        Box::new(Failure { kind: FailureKind::Limit, text: text.into(), cause: None, need: None })
    }

    pub fn caused(kind: FailureKind, text: impl Into<String>, cause: Box<Failure>) -> Box<Self> {
        Box::new(Failure { kind, text: text.into(), cause: Some(cause), need: None })
    }

    /// The whole chain in one line, as Go prints it.
    pub fn full(&self) -> String {
        let mut text = String::new();
        let mut level = Some(self);
        while let Some(failure) = level {
            text.push_str(&failure.text);
            level = failure.cause.as_deref();
        }
        text
    }

    /// The need of a `lookup`, wherever in the chain it is.
    pub fn need(&self) -> Option<&super::Lookup> {
        let mut level = Some(self);
        while let Some(failure) = level {
            if failure.need.is_some() {
                return failure.need.as_ref();
            }
            level = failure.cause.as_deref();
        }
        None
    }

    /// What Helm shows for a failure while it ran a file.
    pub fn shown(&self, file: &str) -> String {
        let full = self.full();
        if self.kind != FailureKind::Exec {
            return full;
        }
        let mut tokens = full.splitn(3, ": ");
        let (_, Some(location), Some(rest)) = (tokens.next(), tokens.next(), tokens.next()) else {
            return format!("execution error in ({file}): {full}");
        };
        if let Some(start) = rest.find(MESSAGE_START)
            && let Some(end) = rest.rfind(MESSAGE_END)
            && start + MESSAGE_START.len() <= end
        {
            return format!("execution error at ({location}): {}", &rest[start + MESSAGE_START.len()..end]);
        }
        let mut places: Vec<Place> = Vec::new();
        let mut offset = 0;
        let mut level = Some(self);
        while let Some(failure) = level {
            let Some(place) = Place::read(&full[offset..]) else { return full };
            if places.last() != Some(&place) {
                places.push(place);
            }
            offset += failure.text.len();
            level = failure.cause.as_deref();
        }
        places.iter().map(Place::text).collect::<String>().trim().to_owned()
    }
}

/// One level of a chain, taken apart.
#[derive(PartialEq)]
struct Place<'t> {
    location: &'t str,
    executing: Option<(&'t str, &'t str)>,
    message: &'t str,
}

impl<'t> Place<'t> {
    fn read(text: &'t str) -> Option<Self> {
        let rest = text.strip_prefix("template: ")?;
        if rest.starts_with("no template ") {
            return Some(Place { location: "", executing: None, message: text });
        }
        Place::executing(rest).or_else(|| {
            let (location, message) = rest.rsplit_once(": ")?;
            Some(Place { location, executing: None, message: before_template(message) })
        })
    }

    fn executing(rest: &'t str) -> Option<Self> {
        let (location, after) = rest.split_once(": executing ")?;
        let (name, after) = after.strip_prefix('"')?.split_once('"')?;
        let (context, message) = after.strip_prefix(" at <")?.split_once(">: ")?;
        Some(Place { location, executing: Some((name, context)), message: before_template(message) })
    }

    fn text(&self) -> String {
        let mut text = String::new();
        if !self.location.is_empty() {
            text = format!("{}\n  ", self.location);
        }
        if let Some((name, context)) = self.executing {
            text.push_str(&format!("executing \"{name}\" at <{context}>:\n    "));
        }
        if !self.message.is_empty() {
            text.push_str(self.message);
            text.push('\n');
        }
        text
    }
}

fn before_template(message: &str) -> &str {
    message.find(" template:").map_or(message, |cut| &message[..cut])
}

/// What Helm shows for a file that could not be parsed.
pub(super) fn parse_error(file: &str, message: &str) -> String {
    let mut tokens = message.split(": ");
    match (tokens.next(), tokens.next()) {
        (_, Some(location)) => {
            format!("parse error at ({location}): {}", message.rsplit(": ").next().unwrap_or_default())
        }
        _ => format!("parse error in ({file}): {message}"),
    }
}
