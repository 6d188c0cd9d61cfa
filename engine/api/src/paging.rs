//! Pages of lists that are walked by key.

use rebar_model::Seq;

use crate::{
    limits::{PAGE, PAGE_MOST},
    types::Page,
};

/// How many items a page has at most.
pub(crate) fn limit(asked: Option<u32>) -> usize {
    asked.unwrap_or(PAGE).clamp(1, PAGE_MOST) as usize
}

/// The page of a list, ordered by key, that begins after the key of the token.
pub(crate) fn page<'a, K: Ord + ToString + 'a, V: 'a, T>(
    entries: impl Iterator<Item = (&'a K, &'a V)>,
    (token, limit): (Option<&K>, usize),
    revision: Seq,
    mut view: impl FnMut(&'a K, &'a V) -> T,
) -> Page<T> {
    let mut rest = entries.skip_while(|(key, _)| token.is_some_and(|token| *key <= token)).peekable();
    let mut items = Vec::new();
    let mut last = None;
    while items.len() < limit
        && let Some((key, value)) = rest.next()
    {
        items.push(view(key, value));
        last = Some(key);
    }
    let next_page_token = rest.peek().and(last).map(ToString::to_string);
    Page { items, next_page_token, revision }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_page_is_longer_than_the_longest_and_none_is_empty() {
        assert_eq!([None, Some(0), Some(1)].map(limit), [PAGE as usize, 1, 1]);
        assert_eq!([PAGE_MOST, PAGE_MOST + 1, u32::MAX].map(|it| limit(Some(it))), [PAGE_MOST as usize; 3]);
    }
}
