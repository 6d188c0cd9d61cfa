//! The last lines of a terminal, drawn again and again in place. The cursor rests on a line of its own below them, so that what
//! somebody types does not move them.

use std::io::{self, Write};

use crate::screen::words;

/// The last lines of a terminal.
#[derive(Debug, Default)]
pub struct Canvas {
    drawn: usize,
}

impl Canvas {
    /// Draws lines in place of those before; what is above stays for good.
    pub fn draw(&mut self, above: &str, lines: &[String], width: usize) -> io::Result<()> {
        let mut text = self.home();
        for line in above.lines() {
            text.push_str(line);
            text.push_str("\x1b[K\n");
        }
        for line in lines {
            text.push_str(&words::cut(line, width));
            text.push_str("\x1b[K\n");
        }
        text.push_str("\x1b[J");
        self.drawn = lines.len();
        write(&text)
    }

    /// Takes the lines off.
    pub fn clear(&mut self) -> io::Result<()> {
        let text = self.home() + "\x1b[J";
        self.drawn = 0;
        write(&text)
    }

    /// The way to the first line.
    fn home(&self) -> String {
        if self.drawn == 0 { "\r".to_owned() } else { format!("\r\x1b[{}A", self.drawn) }
    }
}

/// Writes at once, so that no half of a frame is seen.
fn write(text: &str) -> io::Result<()> {
    let mut err = io::stderr().lock();
    err.write_all(text.as_bytes())?;
    err.flush()
}
