//! What a panic of the product said, and where.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

static HOOK: Once = Once::new();

thread_local! {
    static CATCHING: Cell<bool> = const { Cell::new(false) };
    static PLACE: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Runs `act`; a panic in it comes back as one line, and is not printed.
pub(super) fn caught<T>(act: impl FnOnce() -> T) -> Result<T, String> {
    HOOK.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !CATCHING.get() {
                return usual(info);
            }
            let place = info.location().map(ToString::to_string);
            PLACE.replace(place.unwrap_or_default());
        }));
    });
    CATCHING.set(true);
    let outcome = panic::catch_unwind(AssertUnwindSafe(act));
    CATCHING.set(false);
    outcome.map_err(|payload| format!("{}: {}", PLACE.take(), words(&*payload)))
}

fn words(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    let fixed = || payload.downcast_ref::<&str>().copied();
    text.or_else(fixed).unwrap_or("a panic without words")
}

#[cfg(test)]
mod tests {
    use super::caught;

    #[test]
    fn a_panic_comes_back_with_its_place_and_words() {
        assert_eq!(caught(|| 7), Ok(7));
        let line = caught(|| panic!("broken {}", "here")).unwrap_err();
        assert!(
            line.contains("panics.rs") && line.ends_with(": broken here"),
            "{line}"
        );
    }
}
