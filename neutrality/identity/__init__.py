"""Who is meant: entities by their identifiers and names, and what is said anew once that is learnt. Pure.

    naming      which entities an event names, and the same event with other ids
    names       names in one spelling, and the provisional ids made of them
    directory   from an id as named to the canonical one, by what the events say of names, identifiers and mergers
    moving      what is to be said anew so that every event stands under canonical ids
    suggestions near matches for a person to look at: nothing is ever merged because of them

Decision 17 says why it is so.
"""
