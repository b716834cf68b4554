//! The state that all connections share.

use std::collections::{HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::HeaderMap;

use crate::answer::prompt::Cache;
use crate::journal::Journal;
use crate::request::{ChatRequest, Refusal};
use crate::scenario::{Bad, Scenario, marker};
use crate::settings::{Pace, Settings};

/// The header that names a scenario, for callers that can set one.
pub(crate) const HEADER: &str = "x-sim-scenario";

/// How many messages are remembered for `first`.
const MOST_MET: usize = 100_000;

pub(crate) struct Simulator {
    pub(crate) settings: Settings,
    pub(crate) journal: Arc<Journal>,
    pub(crate) prompts: Cache,
    dials: Mutex<Dials>,
}

/// What can be changed while it runs.
#[derive(Clone, Debug)]
pub(crate) struct Dials {
    pub(crate) scenario: Scenario,
    pub(crate) next: VecDeque<(Scenario, u32)>,
    pub(crate) pace: Pace,
    pub(crate) answer_tokens: Option<u32>,
    /// How often a scenario with `first` has met a message.
    met: HashMap<u64, u32>,
}

impl Dials {
    fn of(settings: &Settings) -> Self {
        Self {
            scenario: settings.scenario.clone(),
            next: VecDeque::new(),
            pace: settings.pace,
            answer_tokens: settings.answer_tokens,
            met: HashMap::new(),
        }
    }

    /// The front of the queue, unless it waits for another model.
    fn take_next(&mut self, model: &str) -> Option<Scenario> {
        let (scenario, left) = self.next.front_mut()?;
        if scenario.options.model.as_ref().is_some_and(|wanted| wanted != model) {
            return None;
        }
        let scenario = scenario.clone();
        *left -= 1;
        if *left == 0 {
            self.next.pop_front();
        }
        Some(scenario)
    }
}

impl Simulator {
    pub(crate) fn new(settings: Settings) -> Self {
        let journal = Arc::new(Journal::new(settings.keep.calls));
        Self {
            dials: Mutex::new(Dials::of(&settings)),
            journal,
            prompts: Cache::default(),
            settings,
        }
    }

    pub(crate) fn dials(&self) -> MutexGuard<'_, Dials> {
        locked(&self.dials)
    }

    /// As it was at start.
    pub(crate) fn reset(&self) {
        *self.dials() = Dials::of(&self.settings);
        self.prompts.clear();
        self.journal.clear();
    }

    /// The scenario of a request: its header's, else its last user message's, else the next in the queue, else the one
    /// that holds for all.
    pub(crate) fn choose(&self, request: &ChatRequest, headers: &HeaderMap) -> Result<Scenario, Refusal> {
        let last_user = request.messages.iter().rev().find(|message| message.role == "user");
        let text = last_user.map_or("", |message| message.text.as_str());
        let asked = match headers.get(HEADER) {
            Some(value) => Some(String::from_utf8_lossy(value.as_bytes()).parse()),
            None => marker::find(text),
        };
        let asked = asked.transpose().map_err(|bad| refuse(&bad))?;
        let mut dials = self.dials();
        let chosen = asked
            .or_else(|| dials.take_next(request.model.id))
            .unwrap_or_else(|| dials.scenario.clone());
        Ok(if applies(&mut dials, &chosen, request, text) {
            chosen
        } else {
            chosen.spared()
        })
    }
}

fn applies(dials: &mut Dials, scenario: &Scenario, request: &ChatRequest, text: &str) -> bool {
    if scenario
        .options
        .model
        .as_ref()
        .is_some_and(|model| model != request.model.id)
    {
        return false;
    }
    let Some(first) = scenario.options.first else {
        return true;
    };
    if dials.met.len() >= MOST_MET {
        dials.met.clear();
    }
    let mut hasher = DefaultHasher::new();
    (scenario.to_string(), text).hash(&mut hasher);
    let met = dials.met.entry(hasher.finish()).or_default();
    *met += 1;
    *met <= first
}

/// A mistake in a marker must not look like a quiet `ok`.
fn refuse(bad: &Bad) -> Refusal {
    Refusal::new(
        400,
        "invalid_request_error",
        Some("sim_bad_scenario"),
        format!("groq-sim: {bad}"),
    )
}

/// A panic elsewhere does not spoil what a lock guards here: every change is a single step.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
