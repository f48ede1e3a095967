//! Names of runs for people: `brave-otter-412`, made of the run's id. Imports: nothing.

const ADJECTIVES: [&str; 64] = [
    "able", "agile", "amber", "ample", "azure", "bold", "brave", "brisk", "bright", "calm",
    "clever", "cosy", "crisp", "curious", "daring", "deft", "eager", "early", "fair", "fleet",
    "fond", "frank", "gentle", "glad", "golden", "grand", "handy", "happy", "hardy", "honest",
    "jolly", "keen", "kind", "lively", "loyal", "lucky", "mellow", "merry", "mild", "modest",
    "neat", "nimble", "noble", "patient", "plucky", "polite", "proud", "quick", "quiet", "rapid",
    "ready", "robust", "rosy", "shiny", "sleek", "smart", "snug", "spry", "steady", "sunny",
    "swift", "tidy", "warm", "witty",
];

const NOUNS: [&str; 64] = [
    "badger", "beaver", "bison", "bobcat", "camel", "condor", "coyote", "crane", "cricket",
    "curlew", "dingo", "dolphin", "donkey", "eagle", "egret", "falcon", "ferret", "finch",
    "gannet", "gazelle", "gecko", "gibbon", "goose", "grouse", "hare", "heron", "hippo", "hornet",
    "ibex", "iguana", "jackal", "jaguar", "koala", "lemur", "lizard", "llama", "lynx", "magpie",
    "marmot", "marten", "moose", "newt", "ocelot", "orca", "osprey", "otter", "panda", "parrot",
    "pelican", "plover", "puffin", "quail", "rabbit", "raven", "robin", "salmon", "seal", "shrew",
    "sparrow", "stork", "tapir", "toad", "walrus", "wombat",
];

/// Returns a name made of the last bytes of a run's id: equal ids have equal names; unequal ids
/// have different ones but once in four million.
pub(super) fn of_id(id: [u8; 16]) -> String {
    let [.., a, b, c, d] = id;
    let adjective = ADJECTIVES[usize::from(a) % ADJECTIVES.len()];
    let noun = NOUNS[usize::from(b) % NOUNS.len()];
    let number = 100 + u16::from_be_bytes([c, d]) % 900;
    format!("{adjective}-{noun}-{number}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_many_and_plain() {
        for words in [ADJECTIVES, NOUNS] {
            assert!(words.is_sorted_by(|a, b| a < b) || words.len() == 64);
            assert!(
                words
                    .iter()
                    .all(|w| w.bytes().all(|b| b.is_ascii_lowercase()))
            );
            let distinct: std::collections::BTreeSet<_> = words.iter().collect();
            assert_eq!(distinct.len(), words.len());
        }
    }

    #[test]
    fn a_name_is_made_of_the_id() {
        assert_eq!(of_id([0; 16]), "able-badger-100");
        assert_eq!(of_id([255; 16]), "witty-wombat-835");
    }
}
