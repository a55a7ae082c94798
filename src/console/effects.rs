//! Does what the console asks for. The only spawner of the console: everything it starts ends with it.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::mpsc::Sender;
use tokio::task::{AbortHandle, JoinSet};

use super::message::{Answer, Effect, Msg, Ticket};
use super::paint::Painter;
use super::rows::sift;
use crate::base::Text;
use crate::verbs::{self, Desk};

/// Makes a commit in the demo repository and says what it changed, or why it could not.
pub type Demo = Arc<dyn Fn() -> Result<Text, Text> + Send + Sync>;

/// Does effects and sends what comes of them to the console's inbox.
pub struct Doer {
    desk: Desk,
    runtime: Handle,
    inbox: Sender<Msg>,
    demo: Option<Demo>,
    painter: Arc<Painter>,
    /// Dropped with the console, and with it all that is under way.
    tasks: JoinSet<()>,
    running: HashMap<Ticket, AbortHandle>,
}

impl Doer {
    /// Works on a runtime other than the console's own, so that no work delays a key.
    pub fn new(desk: Desk, runtime: Handle, inbox: Sender<Msg>, demo: Option<Demo>) -> Self {
        let painter = Arc::new(Painter::default());
        Doer { desk, runtime, inbox, demo, painter, tasks: JoinSet::new(), running: HashMap::new() }
    }

    /// How many effects are under way.
    pub fn busy(&mut self) -> usize {
        while self.tasks.try_join_next().is_some() {}
        self.tasks.len()
    }

    /// Begins an effect; hands back what only the owner of the terminal can do.
    pub fn begin(&mut self, effect: Effect) -> Option<Effect> {
        self.busy();
        self.running.retain(|_, task| !task.is_finished());
        match effect {
            Effect::Ask(ticket, ask) => {
                let (desk, inbox) = (self.desk.clone(), self.inbox.clone());
                self.spawn(ticket, async move {
                    let progress = |text| {
                        // A full inbox means that the person sees newer things already.
                        inbox.try_send(Msg::Progress(ticket, text)).ok();
                    };
                    Answer::Done(verbs::ask(&desk, ask, &progress).await)
                });
            }
            Effect::Fetch(ticket, query) => {
                let desk = self.desk.clone();
                self.spawn(ticket, async move { Answer::Fetched(verbs::fetch(&desk, query).await) });
            }
            Effect::Sift(ticket, sieve) => self.spawn_blocking(ticket, move || Answer::Sifted(sift(sieve))),
            Effect::Paint(ticket, text) => {
                let painter = self.painter.clone();
                self.spawn_blocking(ticket, move || Answer::Painted(painter.paint(&text)));
            }
            Effect::Demo(ticket) => {
                let missing = || Err(Text::new("there is no demo repository"));
                let demo = self.demo.clone();
                self.spawn_blocking(ticket, move || Answer::Demo(demo.map_or_else(missing, |demo| demo())));
            }
            Effect::Write(ticket, name, ending, text) => self.spawn_blocking(ticket, move || {
                Answer::Written(verbs::keep(std::path::Path::new("."), &name, ending, &text))
            }),
            Effect::Cancel(ticket) => {
                if let Some(task) = self.running.remove(&ticket) {
                    task.abort();
                }
            }
            effect @ (Effect::Copy(_) | Effect::Pause | Effect::Redraw | Effect::Quit) => return Some(effect),
        }
        None
    }

    fn spawn(&mut self, ticket: Ticket, work: impl Future<Output = Answer> + Send + 'static) {
        let inbox = self.inbox.clone();
        let task = async move {
            let answer = work.await;
            // The console may be gone; then nobody waits.
            inbox.send(Msg::Answer(ticket, Box::new(answer))).await.ok();
        };
        let task = self.tasks.spawn_on(task, &self.runtime);
        self.running.insert(ticket, task);
    }

    fn spawn_blocking(&mut self, ticket: Ticket, work: impl FnOnce() -> Answer + Send + 'static) {
        let runtime = self.runtime.clone();
        self.spawn(ticket, async move {
            match runtime.spawn_blocking(work).await {
                Ok(answer) => answer,
                Err(_) => Answer::Fetched(Err(verbs::Refusal {
                    message: Text::new("the work ended before it was done"),
                    hint: Text::default(),
                })),
            }
        });
    }
}
