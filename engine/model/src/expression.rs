//! How large a CEL expression may be. Its parser is recursive and takes a lot of stack, so that whoever parses one, the linter or
//! the planner, bounds it here before. Parsing and evaluating are theirs.

/// The longest expression, in bytes; a longer one belongs into a script.
const MAX_BYTES: usize = 2_000;
/// The most dots and operators, wherever they stand.
const MAX_SIGNS: usize = 80;
/// The deepest nesting of brackets: twelve overflow the two MiB of a thread's stack in a debug build.
const MAX_DEPTH: usize = 6;

/// An expression that no parser is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ExpressionTooLarge {
    /// The text is too long.
    #[error("longer than {MAX_BYTES} bytes")]
    Long,
    /// There is too much in it.
    #[error("more than {MAX_SIGNS} dots and operators")]
    Signs,
    /// It is too deep.
    #[error("brackets more than {MAX_DEPTH} deep")]
    Deep,
}

/// Refuses an expression that could overflow the stack of whoever parses it.
pub fn bound_expression(text: &str) -> Result<(), ExpressionTooLarge> {
    if text.len() > MAX_BYTES {
        return Err(ExpressionTooLarge::Long);
    }
    let signs = text.bytes().filter(|it| b"!-+*/%<>=&|?:.".contains(it)).count() + text.matches("in").count();
    if signs > MAX_SIGNS {
        return Err(ExpressionTooLarge::Signs);
    }
    if depth(text) > MAX_DEPTH {
        return Err(ExpressionTooLarge::Deep);
    }
    Ok(())
}

/// How deep brackets nest, or more: where texts are written in a way that needs all of CEL's grammar (escapes, prefixes, three
/// quotes, comments), every bracket counts as opened and never closed.
fn depth(text: &str) -> usize {
    let opened = text.bytes().filter(|it| matches!(it, b'(' | b'[' | b'{')).count();
    if ["\\", "//", "\"\"\"", "'''"].iter().any(|it| text.contains(it)) {
        return opened;
    }
    let (mut depth, mut deepest, mut within, mut before) = (0_usize, 0_usize, None, b' ');
    for byte in text.bytes() {
        match (within, byte) {
            (Some(quote), it) if quote == it => within = None,
            (None, b'\'' | b'"') if before.is_ascii_alphanumeric() => return opened,
            (None, b'\'' | b'"') => within = Some(byte),
            (None, b'(' | b'[' | b'{') => depth += 1,
            (None, b')' | b']' | b'}') => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
        before = byte;
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_are_counted_as_deep_as_they_may_be() {
        for (text, expected) in [
            ("a", 0),
            ("f(a)[0] + (b)", 1),
            ("has(a.b) && '((' != '' && g(h(1))", 2),
            ("(')' + (')' + (1)))", 3),
            // Whoever writes these has fewer brackets.
            ("r'(' + (1) + (2)", 3),
            (r"'\'' + (1) + (2)", 2),
            ("(1) // (2)", 2),
            ("(1)) + (1)", 1),
        ] {
            assert_eq!(depth(text), expected, "{text}");
        }
    }

    #[test]
    fn large_expressions_are_refused() {
        let check = |text: String, expected| assert_eq!(bound_expression(&text), expected, "{text}");
        check("params.a == 'b' && has(node.labels.rack)".to_owned(), Ok(()));
        check("a".repeat(2_000), Ok(()));
        check("a".repeat(2_001), Err(ExpressionTooLarge::Long));
        check("!".repeat(80), Ok(()));
        check("!".repeat(81), Err(ExpressionTooLarge::Signs));
        check(format!("{}1{}", "(".repeat(6), ")".repeat(6)), Ok(()));
        check(format!("{}1{}", "(".repeat(7), ")".repeat(7)), Err(ExpressionTooLarge::Deep));
    }
}
