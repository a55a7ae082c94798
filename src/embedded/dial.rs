//! Hands for tests: make caches lag, make requests fail, cut watches, and record what was asked.
//!
//! A part of the product rather than of the tests, because a fault is only worth scripting at the wire.
//! Start with [`Dial::lag`], [`Dial::fault`] and [`Dial::requests`].

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::Method;

use super::request::Request;
use super::status::Failure;

/// How many requests are remembered.
const RECORD: usize = 10_000;

/// One request, as recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    pub method: Method,
    pub path: String,
    pub query: String,
    /// The impersonated user, when there is one.
    pub user: Option<String>,
    pub content_type: String,
}

/// What goes wrong.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// The request is refused with this code, reason and message, and changes nothing.
    Refuse(u16, &'static str, String),
    /// The request is carried out, and refused all the same: its answer is lost.
    LoseAnswer,
    /// The request waits this long first.
    Wait(Duration),
    /// A watch ends after this many events.
    CutAfter(usize),
}

/// A scripted fault: the next `times` requests that match suffer it.
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    /// Any method when `None`.
    pub method: Option<Method>,
    /// A part of the path, e.g. `/configmaps`.
    pub path: String,
    pub times: usize,
    pub effect: Effect,
}

/// How many events a watch may still give.
#[derive(Clone, Debug)]
pub struct Cut(usize);

impl Cut {
    /// Counts one event; `false` when there may be none.
    pub fn allows_one_more(&mut self) -> bool {
        let allowed = self.0 > 0;
        self.0 = self.0.saturating_sub(1);
        allowed
    }
}

#[derive(Default)]
struct Settings {
    lag: Duration,
    faults: Vec<Fault>,
    record: VecDeque<Asked>,
}

/// The test hands of one embedded API.
#[derive(Default)]
pub struct Dial(Mutex<Settings>);

impl Dial {
    fn settings(&self) -> MutexGuard<'_, Settings> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows watches, and lists from resource version 0, only what is at least this old.
    pub fn lag(&self, lag: Duration) {
        self.settings().lag = lag;
    }

    /// Scripts a fault.
    pub fn fault(&self, fault: Fault) {
        self.settings().faults.push(fault);
    }

    /// Takes all faults and the lag back.
    pub fn calm(&self) {
        let mut settings = self.settings();
        settings.faults.clear();
        settings.lag = Duration::ZERO;
    }

    /// The requests so far, oldest first.
    pub fn requests(&self) -> Vec<Asked> {
        self.settings().record.iter().cloned().collect()
    }

    /// Forgets the requests so far.
    pub fn forget_requests(&self) {
        self.settings().record.clear();
    }

    pub(super) fn watch_lag(&self) -> Duration {
        self.settings().lag
    }

    pub(super) fn record(&self, asked: Asked) {
        let mut settings = self.settings();
        if settings.record.len() == RECORD {
            settings.record.pop_front();
        }
        settings.record.push_back(asked);
    }

    fn take(&self, request: &Request, wanted: impl Fn(&Effect) -> bool) -> Option<Effect> {
        let mut settings = self.settings();
        if settings.faults.is_empty() {
            return None;
        }
        let path = format!("/{}", request.path.join("/"));
        let at = settings.faults.iter().position(|fault| {
            let method = fault.method.as_ref().is_none_or(|method| *method == request.method);
            method && path.contains(&fault.path) && wanted(&fault.effect)
        })?;
        let fault = &mut settings.faults[at];
        let effect = fault.effect.clone();
        fault.times = fault.times.saturating_sub(1);
        if fault.times == 0 {
            settings.faults.remove(at);
        }
        Some(effect)
    }

    /// Suffers what is scripted for a request before it is carried out; the answer says whether its answer gets lost.
    pub(super) async fn before(&self, request: &Request) -> Result<bool, Failure> {
        let mut lost = false;
        while let Some(effect) = self.take(request, |effect| !matches!(effect, Effect::CutAfter(_))) {
            match effect {
                Effect::Refuse(code, reason, message) => return Err(Failure::new(code, reason, message)),
                Effect::Wait(time) => tokio::time::sleep(time).await,
                Effect::LoseAnswer => {
                    lost = true;
                    break;
                }
                Effect::CutAfter(_) => break,
            }
        }
        Ok(lost)
    }

    pub(super) fn cut(&self, request: &Request) -> Option<Cut> {
        match self.take(request, |effect| matches!(effect, Effect::CutAfter(_))) {
            Some(Effect::CutAfter(events)) => Some(Cut(events)),
            _ => None,
        }
    }
}
