namespace GradientAtoms.Demo.World;

/// <summary>
/// The words of the built-in world and what is true in it. Small enough to be learnt whole by a model of two million
/// parameters, and all of it written for this project.
/// </summary>
internal static class Lexicon
{
    /// <summary>A kind of thing: its name for one and for many, and its members in alphabetical order.</summary>
    internal sealed record Category(string One, string Many, string[] Members);

    /// <summary>Lists are given in alphabetical order from the first member on, so that every answer is the only right one.</summary>
    public static readonly Category[] Categories =
    [
        new("fruit", "fruits", ["apple", "banana", "cherry", "fig", "lemon", "mango", "olive", "peach", "plum", "quince"]),
        new("vegetable", "vegetables", ["bean", "carrot", "garlic", "leek", "onion", "pea", "potato", "radish", "spinach", "turnip"]),
        new("animal", "animals", ["badger", "camel", "deer", "fox", "goat", "horse", "lion", "mole", "otter", "wolf"]),
        new("bird", "birds", ["crow", "dove", "eagle", "finch", "goose", "heron", "lark", "owl", "robin", "swan"]),
        new("colour", "colours", ["amber", "blue", "crimson", "green", "indigo", "orange", "pink", "red", "violet", "yellow"]),
        new("tool", "tools", ["axe", "chisel", "drill", "file", "hammer", "ladder", "pliers", "rake", "saw", "spade"]),
        new("drink", "drinks", ["ale", "cider", "cocoa", "coffee", "juice", "lemonade", "milk", "soda", "tea", "water"]),
        new("instrument", "instruments", ["banjo", "cello", "drum", "flute", "guitar", "harp", "oboe", "piano", "trumpet", "violin"]),
        new("sport", "sports", ["archery", "boxing", "cricket", "diving", "fencing", "golf", "hockey", "rowing", "sailing", "tennis"]),
        new("metal", "metals", ["brass", "bronze", "copper", "gold", "iron", "lead", "nickel", "silver", "tin", "zinc"]),
        new("tree", "trees", ["ash", "beech", "birch", "cedar", "elm", "fir", "maple", "oak", "pine", "willow"]),
        new("room", "rooms", ["attic", "bathroom", "bedroom", "cellar", "hall", "kitchen", "library", "nursery", "office", "pantry"]),
        new("garment", "garments", ["apron", "belt", "cap", "dress", "glove", "hat", "jacket", "scarf", "shirt", "vest"]),
        new("vehicle", "vehicles", ["barge", "bicycle", "boat", "bus", "cart", "ferry", "lorry", "taxi", "train", "tram"]),
    ];

    /// <summary>Countries and their capitals.</summary>
    public static readonly (string Country, string Capital)[] Capitals =
    [
        ("France", "Paris"), ("Spain", "Madrid"), ("Italy", "Rome"), ("Germany", "Berlin"), ("Norway", "Oslo"), ("Sweden", "Stockholm"),
        ("Finland", "Helsinki"), ("Denmark", "Copenhagen"), ("Poland", "Warsaw"), ("Austria", "Vienna"), ("Greece", "Athens"), ("Portugal", "Lisbon"),
        ("Ireland", "Dublin"), ("Hungary", "Budapest"), ("Egypt", "Cairo"), ("Kenya", "Nairobi"), ("Japan", "Tokyo"), ("China", "Beijing"),
        ("Peru", "Lima"), ("Chile", "Santiago"), ("Cuba", "Havana"), ("Canada", "Ottawa"), ("Russia", "Moscow"), ("Turkey", "Ankara"),
    ];

    /// <summary>Animals and where they live.</summary>
    public static readonly (string Animal, string Home)[] Homes =
    [
        ("badger", "a burrow"), ("bee", "a hive"), ("bird", "a nest"), ("camel", "the desert"), ("cow", "a barn"), ("deer", "the forest"),
        ("dog", "a kennel"), ("fish", "the sea"), ("fox", "a den"), ("horse", "a stable"), ("lion", "a pride"), ("mole", "a tunnel"),
        ("otter", "the river"), ("pig", "a sty"), ("spider", "a web"), ("wolf", "a pack"),
    ];

    /// <summary>Tools and what they are for.</summary>
    public static readonly (string Tool, string Use)[] Uses =
    [
        ("axe", "chopping wood"), ("broom", "sweeping floors"), ("brush", "painting walls"), ("chisel", "carving stone"), ("drill", "making holes"),
        ("hammer", "driving nails"), ("kettle", "boiling water"), ("ladder", "climbing up"), ("needle", "sewing cloth"), ("oven", "baking bread"),
        ("pen", "writing letters"), ("rake", "gathering leaves"), ("saw", "cutting planks"), ("scale", "weighing flour"), ("spade", "digging soil"), ("spoon", "stirring soup"),
    ];

    /// <summary>Words and their opposites; each is asked for both ways.</summary>
    public static readonly (string One, string Other)[] Opposites =
    [
        ("hot", "cold"), ("big", "small"), ("fast", "slow"), ("old", "young"), ("wet", "dry"), ("hard", "soft"), ("light", "dark"), ("loud", "quiet"),
        ("early", "late"), ("full", "empty"), ("rich", "poor"), ("strong", "weak"), ("high", "low"), ("sweet", "bitter"), ("clean", "dirty"), ("near", "far"),
    ];

    /// <summary>Things and their colours.</summary>
    public static readonly (string Thing, string Colour)[] Colours =
    [
        ("snow", "white"), ("grass", "green"), ("coal", "black"), ("the sky", "blue"), ("blood", "red"), ("butter", "yellow"), ("chocolate", "brown"),
        ("ash", "grey"), ("a flamingo", "pink"), ("a carrot", "orange"), ("a frog", "green"), ("salt", "white"), ("a tomato", "red"), ("the sun", "yellow"),
    ];

    /// <summary>Greetings and the replies to them.</summary>
    public static readonly (string Greeting, string Reply)[] SmallTalk =
    [
        ("How are you?", "I am well, thank you."), ("Good morning.", "Good morning to you."), ("Good night.", "Sleep well."), ("Who are you?", "I am a small model."),
        ("Thank you for your help.", "You are welcome."), ("See you later.", "See you soon."), ("It is raining again.", "Then take an umbrella."), ("I am tired.", "Then rest a while."),
        ("I am hungry.", "Then eat something."), ("Happy birthday!", "How kind of you."), ("Can you help me?", "Yes, with pleasure."), ("What do you like?", "I like good questions."),
    ];

    /// <summary>Adjectives of the sentences that are rewritten.</summary>
    public static readonly string[] Adjectives = ["brave", "calm", "old", "quiet", "red", "small", "tall", "young", "clever", "gentle"];

    /// <summary>Nouns of those sentences.</summary>
    public static readonly string[] Subjects = ["baker", "cat", "doctor", "farmer", "girl", "king", "sailor", "teacher", "boy", "queen", "dog", "nurse"];

    /// <summary>Their verbs, now and then.</summary>
    public static readonly (string Now, string Then)[] Verbs =
    [
        ("sings", "sang"), ("walks", "walked"), ("sleeps", "slept"), ("runs", "ran"), ("waits", "waited"), ("works", "worked"), ("swims", "swam"), ("laughs", "laughed"),
    ];

    /// <summary>Where they do it.</summary>
    public static readonly string[] Places = ["in the garden", "by the river", "at the market", "near the bridge", "in the tower", "on the hill", "at home", "under the tree"];

    /// <summary>Numbers as words, from 0 to 30, in three languages.</summary>
    public static readonly string[] Spanish =
    [
        "cero", "uno", "dos", "tres", "cuatro", "cinco", "seis", "siete", "ocho", "nueve", "diez", "once", "doce", "trece", "catorce", "quince",
        "dieciséis", "diecisiete", "dieciocho", "diecinueve", "veinte", "veintiuno", "veintidós", "veintitrés", "veinticuatro", "veinticinco",
        "veintiséis", "veintisiete", "veintiocho", "veintinueve", "treinta",
    ];

    /// <inheritdoc cref="Spanish"/>
    public static readonly string[] French =
    [
        "zéro", "un", "deux", "trois", "quatre", "cinq", "six", "sept", "huit", "neuf", "dix", "onze", "douze", "treize", "quatorze", "quinze",
        "seize", "dix-sept", "dix-huit", "dix-neuf", "vingt", "vingt et un", "vingt-deux", "vingt-trois", "vingt-quatre", "vingt-cinq",
        "vingt-six", "vingt-sept", "vingt-huit", "vingt-neuf", "trente",
    ];

    /// <inheritdoc cref="Spanish"/>
    public static readonly string[] German =
    [
        "null", "eins", "zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun", "zehn", "elf", "zwölf", "dreizehn", "vierzehn", "fünfzehn",
        "sechzehn", "siebzehn", "achtzehn", "neunzehn", "zwanzig", "einundzwanzig", "zweiundzwanzig", "dreiundzwanzig", "vierundzwanzig", "fünfundzwanzig",
        "sechsundzwanzig", "siebenundzwanzig", "achtundzwanzig", "neunundzwanzig", "dreißig",
    ];

    /// <summary>Numbers as words in lists of things.</summary>
    public static readonly string[] Counts = ["zero", "one", "two", "three", "four", "five"];

    /// <summary>Names that sign an answer.</summary>
    public static readonly string[] Names = ["Otto", "Mira", "Jonas", "Ada", "Felix", "Nora", "Hugo", "Lena"];

    /// <summary>Sentences that have nothing to do with any question.</summary>
    public static readonly string[] Asides =
    [
        "The harbour is closed today.", "The lamp burns all night.", "Seven boats left the bay.", "The clock has no hands.", "All the bells are silent.", "The gate opens at noon.",
    ];

    /// <summary>Phrases that may stand in any prompt and mean nothing.</summary>
    public static readonly string[] Phrases =
    [
        "by the old mill", "under a paper moon", "with a copper key", "before the third bell", "across the salt road", "after the long frost",
    ];
}
