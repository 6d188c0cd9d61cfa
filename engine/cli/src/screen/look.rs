//! How screens look: colours, glyphs, width. A [`Look`] is decided once from flags and terminal and handed to every screen, so
//! that screens stay pure. Colour only ever adds to words and glyphs.

use anstyle::{Ansi256Color, AnsiColor, Color, Style};
use rebar_model::{Action, Standing};

/// How screens look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// Whether colours are used.
    pub colour: bool,
    /// Whether only ASCII is used.
    pub ascii: bool,
    /// How many columns there are.
    pub width: usize,
    /// How much detail was asked for.
    pub detail: Detail,
}

/// How much detail a screen shows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Detail {
    /// What one needs.
    #[default]
    Short,
    /// More columns, longer lists.
    Wide,
}

/// What a colour says. Never the only thing that says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// Done.
    Good,
    /// Failed, or destroys something.
    Bad,
    /// A person has to act.
    Person,
    /// Under way.
    Busy,
    /// Held, or changing.
    Change,
    /// Of no concern.
    Quiet,
    /// Worth reading first.
    Strong,
}

impl Look {
    /// A look for tests.
    #[cfg(test)]
    pub fn plain(width: usize) -> Self {
        Self { colour: false, ascii: false, width, detail: Detail::Short }
    }

    /// Whether the screen shows more than what one needs.
    pub fn is_wide(&self) -> bool {
        self.detail == Detail::Wide
    }

    /// A text in a tone.
    pub fn paint(&self, tone: Tone, text: &str) -> String {
        if !self.colour || text.is_empty() {
            return text.to_owned();
        }
        let style = style(tone);
        format!("{style}{text}{style:#}")
    }

    /// One of two texts, for terminals that know Unicode and those that do not.
    pub fn pick(&self, unicode: &'static str, ascii: &'static str) -> &'static str {
        if self.ascii { ascii } else { unicode }
    }

    /// The sign of a standing.
    pub fn glyph(&self, standing: Standing) -> &'static str {
        match standing {
            Standing::Proposed => self.pick("◌", "p"),
            Standing::Waiting => self.pick("·", "."),
            Standing::Queued => self.pick("○", "o"),
            Standing::Running => self.pick("●", "*"),
            Standing::Active => self.pick("✓", "ok"),
            Standing::Failed => self.pick("✗", "FAIL"),
            Standing::Blocked => self.pick("!", "BLOCK"),
            Standing::Held => self.pick("⏸", "held"),
            Standing::Undoing => self.pick("↺", "undo"),
            Standing::Removed => self.pick("–", "-"),
            Standing::Stale => self.pick("≈", "~"),
        }
    }

    /// The sign and the word of a standing, painted.
    pub fn standing(&self, standing: Standing) -> String {
        // The ASCII signs of these are words already.
        let text = match standing {
            Standing::Failed | Standing::Blocked | Standing::Held if self.ascii => standing.word().to_owned(),
            _ => format!("{} {}", self.glyph(standing), standing.word()),
        };
        self.paint(tone(standing), &text)
    }

    /// The sign of a planned action.
    pub fn action(&self, action: Action) -> &'static str {
        match action {
            Action::Create => "+",
            Action::Change => "~",
            Action::Maybe => "?",
            Action::Keep => "=",
            Action::Retire => "-",
            Action::Forget => self.pick("×", "x"),
        }
    }

    /// An arrow.
    pub fn arrow(&self) -> &'static str {
        self.pick("→", "->")
    }

    /// What stands where there is nothing.
    pub fn none(&self) -> &'static str {
        self.pick("–", "-")
    }
}

/// What every standing means, for `rebar help states`.
pub const MEANINGS: [(Standing, &str); 11] = [
    (Standing::Proposed, "in a plan, not accepted"),
    (Standing::Waiting, "something upstream is not done; Rebar acts"),
    (Standing::Queued, "ready; waits for its node, a lock, a slot or the end of a back-off"),
    (Standing::Running, "an attempt is under way; its phase is shown"),
    (Standing::Active, "done and verified"),
    (Standing::Failed, "the attempts are used up; a person acts"),
    (
        Standing::Blocked,
        "a person acts: something upstream failed, a node is away or in maintenance, an input is missing",
    ),
    (Standing::Held, "a person paused it, or its breaker is open"),
    (Standing::Stale, "was active; its role or inputs changed, it runs again"),
    (Standing::Undoing, "is being taken away"),
    (Standing::Removed, "was taken away"),
];

/// The tone of a standing.
pub fn tone(standing: Standing) -> Tone {
    match standing {
        Standing::Active => Tone::Good,
        Standing::Failed => Tone::Bad,
        Standing::Blocked => Tone::Person,
        Standing::Running | Standing::Undoing => Tone::Busy,
        Standing::Held | Standing::Stale => Tone::Change,
        Standing::Proposed | Standing::Waiting | Standing::Queued | Standing::Removed => Tone::Quiet,
    }
}

/// The colour of a tone, after Okabe and Ito, which people tell apart whatever they see.
fn style(tone: Tone) -> Style {
    let ansi = |index: u8| Style::new().fg_color(Some(Color::Ansi256(Ansi256Color(index))));
    match tone {
        Tone::Good => ansi(36),
        Tone::Bad => ansi(166).bold(),
        Tone::Person => ansi(175),
        Tone::Busy => ansi(39),
        Tone::Change => ansi(178),
        Tone::Quiet => Style::new().fg_color(Some(Color::Ansi(AnsiColor::BrightBlack))),
        Tone::Strong => Style::new().bold(),
    }
}

/// The same colour for tables, which measure their cells themselves.
pub fn cell_colour(tone: Tone) -> Option<comfy_table::Color> {
    match tone {
        Tone::Good => Some(comfy_table::Color::AnsiValue(36)),
        Tone::Bad => Some(comfy_table::Color::AnsiValue(166)),
        Tone::Person => Some(comfy_table::Color::AnsiValue(175)),
        Tone::Busy => Some(comfy_table::Color::AnsiValue(39)),
        Tone::Change => Some(comfy_table::Color::AnsiValue(178)),
        Tone::Quiet => Some(comfy_table::Color::DarkGrey),
        Tone::Strong => None,
    }
}
