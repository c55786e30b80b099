//! What is shown, and when.

use std::{
    collections::HashMap,
    env, fmt,
    io::{self, IsTerminal, Write},
    mem,
    sync::{LazyLock, Mutex, MutexGuard, PoisonError},
};

use tokio::time::Instant;
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    Layer,
    layer::{Context, SubscriberExt},
    util::SubscriberInitExt,
};

/// The thread of the supervisor shows phases, too; tokens come from the main thread.
static SCREEN: LazyLock<Mutex<Screen>> = LazyLock::new(|| {
    Mutex::new(Screen {
        begun: Instant::now(),
        column: 0,
        word: String::new(),
    })
});

/// How wide the answer is, with what stands before each of its lines.
const WIDTH: usize = 76;
const INDENT: &str = "  ";

struct Screen {
    begun: Instant,
    /// How far the last line of the answer goes; 0 before its beginning.
    column: usize,
    /// The beginning of a word, of which more may come.
    word: String,
}

impl Screen {
    /// A word, with the space or the end of the line after it.
    fn show(&mut self, word: &str) {
        let shown = word.trim_end();
        let length = shown.chars().count();
        if self.column == 0 || self.column + 1 + length > WIDTH {
            text(&format!("\n{INDENT}{shown}"));
            self.column = INDENT.len() + length;
        } else {
            text(&format!(" {shown}"));
            self.column += 1 + length;
        }
        if word.ends_with('\n') {
            self.column = WIDTH;
        }
    }
}

#[derive(Clone, Copy)]
enum Style {
    Bold = 1,
    Dim = 2,
    Green = 32,
}

/// Text in colour, on a terminal whose user has not said otherwise (<https://no-color.org>).
fn styled(text: &str, style: Style) -> String {
    static COLOUR: LazyLock<bool> = LazyLock::new(|| {
        let unwanted = env::var_os("NO_COLOR").is_some_and(|it| !it.is_empty());
        io::stdout().is_terminal() && !unwanted
    });
    if *COLOUR {
        format!("\x1b[{}m{text}\x1b[0m", style as u8)
    } else {
        text.to_owned()
    }
}

fn screen() -> MutexGuard<'static, Screen> {
    SCREEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Shows the phases, by the events of the crate. Its documentation lists their names.
pub(crate) fn follow_events() {
    drop(screen());
    tracing_subscriber::registry().with(Phases).init();
}

/// A phase, with the time since the program began.
pub(crate) fn phase(name: &str, detail: &str) {
    end_of_tokens();
    let at = screen().begun.elapsed().as_millis();
    let at = styled(&format!("{at:>6} ms"), Style::Dim);
    let style = if name == "ready" {
        Style::Green
    } else {
        Style::Bold
    };
    // Padded before it is styled: a terminal shows no escape, but a width counts it.
    let name = styled(&format!("{name:<9}"), style);
    text(&format!(
        "{}\n",
        format!("{at}  {name}  {detail}").trim_end()
    ));
}

pub(crate) fn question(question: &str) {
    text(&format!(
        "\n{}\n\n",
        styled(&format!("> {question}"), Style::Bold)
    ));
}

/// A piece of the answer. It is shown as far as its words are complete.
pub(crate) fn token(token: &str) {
    let mut screen = screen();
    screen.word.push_str(token);
    while let Some(end) = screen.word.find([' ', '\n']) {
        let word: String = screen.word.drain(..=end).collect();
        screen.show(&word);
    }
}

pub(crate) fn end_of_tokens() {
    let mut screen = screen();
    let word = mem::take(&mut screen.word);
    if !word.is_empty() {
        screen.show(&word);
    }
    if screen.column > 0 {
        text("\n\n");
    }
    screen.column = 0;
}

pub(crate) fn text(text: &str) {
    // A closed pipe, as with `head`, must not keep us from stopping the server.
    let mut out = io::stdout().lock();
    drop(out.write_all(text.as_bytes()).and_then(|()| out.flush()));
}

pub(crate) fn mistake(text: &str) {
    drop(writeln!(io::stderr().lock(), "quickstart: {text}"));
}

struct Phases;

impl<S: Subscriber> Layer<S> for Phases {
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        metadata.target() == "tower_local_service"
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let field = |name| fields.0.get(name).map_or("", String::as_str);
        match field("message") {
            "probing" => phase(
                "probing",
                &format!(
                    "is there a server at {}{} already?",
                    field("host"),
                    field("path")
                ),
            ),
            "starting" => phase("starting", field("command")),
            "started" => phase("loading", &format!("it runs as process {}", field("pid"))),
            "ready" => phase("ready", &format!("after {} ms", field("took_ms"))),
            _ => {}
        }
    }
}

/// The fields of an event, as text.
#[derive(Default)]
struct Fields(HashMap<&'static str, String>);

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }
}
