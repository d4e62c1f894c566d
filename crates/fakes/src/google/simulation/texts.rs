//! The texts that a simulation writes. They are about nobody.

pub(super) const PEOPLE: [&str; 10] = [
    "Ada Brandt <ada.brandt@example.org>",
    "Bo Lindqvist <bo@example.net>",
    "Chiara Rossi <chiara.rossi@example.org>",
    "Dimitri Novak <dimitri@example.com>",
    "\"Eze, Ngozi\" <ngozi.eze@example.org>",
    "Finn O'Malley <finn@example.net>",
    "Greta Møller <greta.moller@example.org>",
    "=?UTF-8?Q?J=C3=BCrgen_Wei=C3=9F?= <juergen@example.org>",
    "news@letters.example.com",
    "Tickets <no-reply@tickets.example.com>",
];

pub(super) const ADDRESSES: [&str; 7] = [
    "ada.brandt@example.org",
    "bo@example.net",
    "chiara.rossi@example.org",
    "dimitri@example.com",
    "ngozi.eze@example.org",
    "finn@example.net",
    "greta.moller@example.org",
];

pub(super) const SUBJECTS: [&str; 12] = [
    "Invoice for March",
    "Dinner on Friday?",
    "Your parcel is on its way",
    "Minutes of today's meeting",
    "Question about the contract",
    "=?UTF-8?B?R3LDvMOfZSBhdXMgS8O2bG4=?=",
    "Photos from the weekend",
    "Please review: plan for the second quarter",
    "Train delayed",
    "Welcome aboard",
    "Password changed",
    "Happy birthday!",
];

pub(super) const SPAM: [&str; 4] =
    ["You have won", "Cheap watches", "Your account will be closed", "Earn money from home"];

pub(super) const TEXTS: [&str; 8] = [
    "Hi, just a short note: the numbers are in the table. Let me know what you think.",
    "The meeting was moved by an hour, same room. <b>Bring the samples.</b>",
    "Thanks & see you soon!",
    "Grüße aus Köln, das Wetter ist schön. 🌞",
    "We looked at three offers. The second one is the best, though it takes two weeks longer.",
    "Don't forget the keys.",
    "It's done: tests pass, the branch is merged, the release goes out tomorrow morning.",
    "Could you send me the latest version by noon?",
];

pub(super) const FILES: [&str; 12] = [
    "Shopping list",
    "Notes from the workshop",
    "Budget",
    "Travel plan",
    "Ideas",
    "Recipe for bread",
    "Draft of the contract",
    "Reading list",
    "Measurements",
    "Letter to the landlord",
    "Protokoll März",
    "To do",
];

pub(super) const FOLDERS: [&str; 6] = ["Projects", "House", "Travel", "Archive", "Music", "Taxes"];

pub(super) const DRIVES: [&str; 3] = ["Team", "Club", "Family"];

pub(super) const MEETINGS: [&str; 10] = [
    "Review",
    "Dentist",
    "Lunch with the team",
    "Call about the offer",
    "Piano lesson",
    "Planning",
    "Interview",
    "Parents' evening",
    "Workshop",
    "One to one",
];

pub(super) const SERIES: [&str; 5] = ["Standup", "Choir", "Weekly report", "Football", "Language course"];

pub(super) const DAYS: [&str; 4] = ["Holiday", "Conference", "Moving house", "Birthday"];

pub(super) const PLACES: [&str; 6] =
    ["Room 4", "Café Central", "Online", "Town hall", "Kitchen", "12 Harbour Street"];

pub(super) const ZONES: [&str; 3] = ["UTC", "Europe/Berlin", "America/New_York"];

pub(super) const ANSWERS: [&str; 3] = ["accepted", "declined", "tentative"];
