//! The one loop around the machine: the supervisor's task and every model checker use it.

use std::collections::VecDeque;

use super::{Action, Claim, Event, Machine};

/// What the machine's actions act on.
pub(crate) trait Effects {
    /// Why the loop breaks off: a checker stops at a broken promise.
    type Error;

    /// Whether the process has ended, asked of the system now. The event of its exit may still come.
    fn has_ended(&mut self) -> bool;

    /// Whether the service has to make way before anything else happens to it. Says so once.
    fn must_leave(&mut self) -> bool;

    /// Has the machine take the event, and takes note of it.
    fn decide(&mut self, machine: &mut Machine, event: Event) -> Result<Vec<Action>, Self::Error>;

    /// Does what the machine asks for. Some actions are answered at once.
    fn perform(&mut self, action: Action, machine: &Machine) -> Result<Option<Event>, Self::Error>;

    /// All that follows from an event is done.
    fn done(&mut self, machine: &Machine);
}

/// Has the machine take an event, does what follows, and has it take what answers that.
pub(crate) fn drive<E: Effects>(
    machine: &mut Machine,
    event: Event,
    effects: &mut E,
) -> Result<(), E::Error> {
    let mut events = VecDeque::from([event]);
    // What a process that has just ended answered, or is asked for, means something else than if it lived.
    if machine.heeds_death(&events[0]) && effects.has_ended() {
        events.push_front(Event::Dying);
    }
    // Its lease word is closed, and stays so.
    if effects.must_leave() {
        events.push_front(Event::Claim(Claim::Leave));
    }
    while let Some(event) = events.pop_front() {
        for action in effects.decide(machine, event)? {
            events.extend(effects.perform(action, machine)?);
        }
    }
    effects.done(machine);
    Ok(())
}
