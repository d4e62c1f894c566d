//! The actions on a mailbox.

use jiff::Timestamp;

use super::round::{Action, Simulation};
use super::texts::{ADDRESSES, PEOPLE, SPAM, SUBJECTS, TEXTS};
use crate::google::api::{Service, first};
use crate::google::gmail::{Mail, Mailbox, Message};

pub(super) const ACTIONS: &[Action<Mailbox>] = &[
    (30, arrive),
    (10, reply),
    (5, spam),
    (8, send),
    (2, note),
    (12, read),
    (4, unread),
    (5, star),
    (6, archive),
    (5, trash),
    (3, untrash),
    (3, not_spam),
    (4, delete),
    (6, draft),
    (6, draft_again),
    (5, send_draft),
    (1, drop_draft),
];

fn arrive(sim: &mut Simulation, mailbox: &mut Mailbox, now: Timestamp) -> Option<String> {
    let (from, subject) = (sim.text_of(&PEOPLE), sim.text_of(&SUBJECTS));
    let category =
        sim.text_of(&["CATEGORY_PERSONAL", "CATEGORY_UPDATES", "CATEGORY_PROMOTIONS", "IMPORTANT"]);
    let mail = sim.with_text(Mail::incoming(from, subject)).labelled(&["INBOX", "UNREAD", category]);
    mailbox.arrive(now, mail);
    Some(format!("mail: {from} writes: {subject}"))
}

fn reply(sim: &mut Simulation, mailbox: &mut Mailbox, now: Timestamp) -> Option<String> {
    let messages = mailbox.messages().filter(|message| !message.has("SPAM") && !message.has("DRAFT"));
    let threads = messages.map(|message| (message.thread.clone(), subject(message))).collect();
    let (thread, subject) = sim.one_of(threads)?;
    let from = sim.text_of(&PEOPLE);
    let subject = format!("Re: {}", subject.trim_start_matches("Re: "));
    let mail = sim.with_text(Mail::incoming(from, &subject)).thread(&thread);
    mailbox.arrive(now, mail);
    Some(format!("mail: {from} answers: {subject}"))
}

fn spam(sim: &mut Simulation, mailbox: &mut Mailbox, now: Timestamp) -> Option<String> {
    let subject = sim.text_of(&SPAM);
    mailbox.arrive(now, Mail::spam("Lucky <lucky@spam.example.com>", subject));
    Some(format!("mail: spam comes in: {subject}"))
}

fn send(sim: &mut Simulation, mailbox: &mut Mailbox, now: Timestamp) -> Option<String> {
    let (to, subject) = (sim.text_of(&PEOPLE), sim.text_of(&SUBJECTS));
    let mail = sim.with_text(Mail::sent(to, subject));
    mailbox.arrive(now, mail);
    Some(format!("mail: I write to {to}: {subject}"))
}

fn note(sim: &mut Simulation, mailbox: &mut Mailbox, now: Timestamp) -> Option<String> {
    let subject = sim.text_of(&SUBJECTS);
    let mail = sim.with_text(Mail::to_oneself(subject));
    mailbox.arrive(now, mail);
    Some(format!("mail: I write to myself: {subject}"))
}

fn read(sim: &mut Simulation, mailbox: &mut Mailbox, now: Timestamp) -> Option<String> {
    let (id, subject) = sim.any_message(mailbox, |message| message.has("UNREAD") && !message.has("SPAM"))?;
    mailbox.relabel(now, &id, &[], &["UNREAD"]).then(|| format!("mail: I read: {subject}"))
}

fn unread(sim: &mut Simulation, mailbox: &mut Mailbox, now: Timestamp) -> Option<String> {
    let (id, subject) = sim.any_message(mailbox, |message| message.has("INBOX") && !message.has("UNREAD"))?;
    mailbox.relabel(now, &id, &["UNREAD"], &[]).then(|| format!("mail: I mark as unread: {subject}"))
}

fn star(sim: &mut Simulation, mailbox: &mut Mailbox, now: Timestamp) -> Option<String> {
    let (id, subject) =
        sim.any_message(mailbox, |message| message.has("INBOX") && !message.has("STARRED"))?;
    mailbox.relabel(now, &id, &["STARRED"], &["UNREAD"]).then(|| format!("mail: I star: {subject}"))
}

fn archive(sim: &mut Simulation, mailbox: &mut Mailbox, now: Timestamp) -> Option<String> {
    let (id, subject) = sim.any_message(mailbox, |message| message.has("INBOX"))?;
    mailbox.relabel(now, &id, &[], &["INBOX"]).then(|| format!("mail: I archive: {subject}"))
}

fn trash(sim: &mut Simulation, mailbox: &mut Mailbox, now: Timestamp) -> Option<String> {
    let (id, subject) = sim.any_message(mailbox, |message| message.has("INBOX"))?;
    mailbox.trash(now, &id).then(|| format!("mail: I put into the trash: {subject}"))
}

fn untrash(sim: &mut Simulation, mailbox: &mut Mailbox, now: Timestamp) -> Option<String> {
    let (id, subject) = sim.any_message(mailbox, |message| message.has("TRASH"))?;
    let done = mailbox.relabel(now, &id, &["INBOX"], &["TRASH"]);
    done.then(|| format!("mail: I take out of the trash: {subject}"))
}

fn not_spam(sim: &mut Simulation, mailbox: &mut Mailbox, now: Timestamp) -> Option<String> {
    let (id, subject) = sim.any_message(mailbox, |message| message.has("SPAM"))?;
    mailbox.relabel(now, &id, &["INBOX"], &["SPAM"]).then(|| format!("mail: this was no spam: {subject}"))
}

fn delete(sim: &mut Simulation, mailbox: &mut Mailbox, now: Timestamp) -> Option<String> {
    let (id, subject) = sim.any_message(mailbox, |_| true)?;
    mailbox.delete(now, &id).then(|| format!("mail: I delete for good: {subject}"))
}

fn draft(sim: &mut Simulation, mailbox: &mut Mailbox, now: Timestamp) -> Option<String> {
    let (to, subject) = (sim.text_of(&ADDRESSES), sim.text_of(&SUBJECTS));
    let mail = sim.with_text(Mail { to: to.to_owned(), ..Mail::incoming("", subject) });
    let draft = mailbox.save_draft(now, None, mail);
    sim.drafts.push(draft);
    Some(format!("mail: I begin to write to {to}: {subject}"))
}

fn draft_again(sim: &mut Simulation, mailbox: &mut Mailbox, now: Timestamp) -> Option<String> {
    let (draft, to, subject) = sim.any_draft(mailbox)?;
    let mail = sim.with_text(Mail { to, ..Mail::incoming("", &subject) });
    mailbox.save_draft(now, Some(&draft), mail);
    Some(format!("mail: I go on writing: {subject}"))
}

fn send_draft(sim: &mut Simulation, mailbox: &mut Mailbox, now: Timestamp) -> Option<String> {
    let (draft, to, subject) = sim.any_draft(mailbox)?;
    mailbox.send_draft(now, &draft).map(|_| format!("mail: I send the draft to {to}: {subject}"))
}

fn drop_draft(sim: &mut Simulation, mailbox: &mut Mailbox, now: Timestamp) -> Option<String> {
    let (draft, _, subject) = sim.any_draft(mailbox)?;
    let id = mailbox.draft_message(&draft)?.to_owned();
    mailbox.delete(now, &id).then(|| format!("mail: I throw away the draft: {subject}"))
}

impl Simulation {
    /// The mail with a text.
    fn with_text(&mut self, mail: Mail) -> Mail {
        Mail { text: self.text_of(&TEXTS).to_owned(), ..mail }
    }

    /// The id and the subject of a wanted message that is no draft and was not changed in this round.
    fn any_message(
        &mut self,
        mailbox: &Mailbox,
        wanted: impl Fn(&Message) -> bool,
    ) -> Option<(String, String)> {
        let free = |message: &&Message| {
            !message.has("DRAFT") && wanted(message) && self.is_free(Service::Gmail, &message.id)
        };
        let found = mailbox.messages().filter(free);
        let found = found.map(|message| (message.id.clone(), subject(message))).collect();
        self.one_of(found)
    }

    /// The id, the recipient and the subject of a draft.
    fn any_draft(&mut self, mailbox: &Mailbox) -> Option<(String, String, String)> {
        self.drafts.retain(|draft| mailbox.draft_message(draft).is_some());
        let free = self.drafts.iter().filter_map(|draft| {
            let message = mailbox.message(mailbox.draft_message(draft)?)?;
            let free = self.is_free(Service::Gmail, &message.id);
            free.then(|| (draft.clone(), header(message, "To"), subject(message)))
        });
        let free = free.collect();
        self.one_of(free)
    }
}

fn subject(message: &Message) -> String {
    header(message, "Subject")
}

fn header(message: &Message, name: &str) -> String {
    first(&message.headers, name).unwrap_or_default().to_owned()
}
