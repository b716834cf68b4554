//! The state that all connections share.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::HeaderMap;

use crate::answer::Habits;
use crate::answer::prompt::Cache;
use crate::clock::Clock;
use crate::journal::Journal;
use crate::models::{Availability, Model};
use crate::quota::Ledger;
use crate::request::{ChatRequest, Refusal};
use crate::scenario::script::{self, Script};
use crate::scenario::{Bad, Fault, Scenario, marker};
use crate::settings::{Limits, Pace, Settings};

/// The header that names a scenario, for callers that can set one.
pub(crate) const HEADER: &str = "x-sim-scenario";

/// How many messages are remembered for `first`.
const MOST_MET: usize = 100_000;

pub(crate) struct Simulator {
    pub(crate) settings: Settings,
    pub(crate) journal: Arc<Journal>,
    pub(crate) prompts: Cache,
    pub(crate) clock: Arc<Clock>,
    pub(crate) ledger: Arc<Ledger>,
    dials: Mutex<Dials>,
}

/// What can be changed while it runs.
#[derive(Clone, Debug)]
pub(crate) struct Dials {
    pub(crate) scenario: Scenario,
    pub(crate) next: VecDeque<(Scenario, u32)>,
    pub(crate) pace: Pace,
    pub(crate) model_speed: bool,
    pub(crate) habits: Habits,
    pub(crate) limits: Limits,
    /// Those of models that have limits of their own.
    pub(crate) model_limits: BTreeMap<String, Limits>,
    /// The scenario of requests for the list of models that ask for none.
    pub(crate) list_scenario: Scenario,
    /// The scenario of requests for a model that ask for none.
    pub(crate) model_scenarios: BTreeMap<String, Scenario>,
    /// Models that are not as the list has them.
    pub(crate) availability: BTreeMap<String, Availability>,
    pub(crate) scripts: BTreeMap<String, Arc<Script>>,
    /// How often a scenario with `first` has met a message.
    met: HashMap<u64, u32>,
}

impl Dials {
    fn of(settings: &Settings) -> Self {
        let mut scripts = settings.scripts.clone().unwrap_or_default().0;
        let example = || Arc::new(Script::example());
        scripts.entry(script::EXAMPLE.to_owned()).or_insert_with(example);
        Self {
            scenario: settings.scenario.clone(),
            next: VecDeque::new(),
            pace: settings.pace,
            model_speed: settings.model_speed,
            habits: Habits {
                tokens: settings.answer_tokens,
                language: settings.answer_language,
            },
            limits: settings.limits,
            model_limits: BTreeMap::new(),
            list_scenario: Scenario::default(),
            model_scenarios: BTreeMap::new(),
            availability: BTreeMap::new(),
            scripts,
            met: HashMap::new(),
        }
    }

    pub(crate) fn limits_of(&self, model: &str) -> Limits {
        self.model_limits.get(model).copied().unwrap_or(self.limits)
    }

    /// How fast a model answers, where a scenario says nothing else.
    pub(crate) fn pace_of(&self, model: &Model) -> Pace {
        match model.tokens_per_second.filter(|_| self.model_speed) {
            Some(speed) => self.pace.at_speed(speed),
            None => self.pace,
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
        let clock = Arc::new(Clock::new());
        Self {
            ledger: Arc::new(Ledger::new(Arc::clone(&clock))),
            clock,
            dials: Mutex::new(Dials::of(&settings)),
            journal,
            prompts: Cache::default(),
            settings,
        }
    }

    pub(crate) fn dials(&self) -> MutexGuard<'_, Dials> {
        locked(&self.dials)
    }

    /// Whether a model of the list can be used now.
    pub(crate) fn offers(&self, model: &str) -> bool {
        let dials = self.dials();
        dials
            .availability
            .get(model)
            .is_none_or(|state| *state == Availability::Active)
    }

    /// As it was at start.
    pub(crate) fn reset(&self) {
        *self.dials() = Dials::of(&self.settings);
        self.prompts.clear();
        self.ledger.clear();
        self.journal.clear();
    }

    /// The scenario of a request: its header's, else its last user message's, else the next in the queue, else the one
    /// of its model, else the one that holds for all.
    pub(crate) fn choose(&self, request: &ChatRequest, headers: &HeaderMap) -> Result<Scenario, Refusal> {
        let last_user = request.messages.iter().rev().find(|message| message.role == "user");
        let text = last_user.map_or("", |message| message.text.as_str());
        let asked = match of_header(headers) {
            Some(asked) => Some(asked),
            None => marker::find(text),
        };
        let asked = asked.transpose().map_err(|bad| refuse(&bad))?;
        let mut dials = self.dials();
        let chosen = asked
            .or_else(|| dials.take_next(request.model.id))
            .or_else(|| dials.model_scenarios.get(request.model.id).cloned())
            .unwrap_or_else(|| dials.scenario.clone());
        fitting(&mut dials, chosen, request, text)
    }

    /// The scenario of a request for the list of models: its header's, else the one that holds for the list. `request`
    /// stands for it.
    pub(crate) fn choose_for_list(&self, request: &ChatRequest, headers: &HeaderMap) -> Result<Scenario, Refusal> {
        let asked = of_header(headers).transpose().map_err(|bad| refuse(&bad))?;
        let mut dials = self.dials();
        let chosen = asked.unwrap_or_else(|| dials.list_scenario.clone());
        fitting(&mut dials, chosen, request, "the list of models")
    }
}

fn of_header(headers: &HeaderMap) -> Option<Result<Scenario, Bad>> {
    let value = headers.get(HEADER)?;
    Some(String::from_utf8_lossy(value.as_bytes()).parse())
}

/// The scenario, or what a request gets that it is not for.
fn fitting(dials: &mut Dials, chosen: Scenario, request: &ChatRequest, text: &str) -> Result<Scenario, Refusal> {
    if let Fault::Script { of } = &chosen.fault
        && !dials.scripts.contains_key(of)
    {
        return Err(refuse(&Bad(format!(
            "there is no script '{of}'; GET /_sim/scripts lists them"
        ))));
    }
    Ok(if applies(dials, &chosen, request, text) {
        chosen
    } else {
        chosen.spared()
    })
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
    if scenario
        .options
        .tier
        .as_ref()
        .is_some_and(|tier| *tier != request.service_tier)
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
