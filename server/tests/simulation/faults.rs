//! What goes wrong.

use super::world::World;

impl World {
    /// One fault, drawn.
    pub(crate) fn fault(&mut self) {
        let at = self.dice.below(self.nodes.len());
        // In some worlds the ledger comes from backups more often than not.
        let what = if self.restores { 6 + self.dice.below(8) } else { self.dice.below(12) };
        match what {
            0 | 1 => self.kill(at),
            2 | 3 => {
                // The leader, between any two of its steps.
                let leads = |node: &super::node::Node| {
                    node.daemon.as_ref().is_some_and(|daemon| daemon.lead.lease.is_some())
                };
                if let Some(leader) = self.nodes.iter().position(leads) {
                    if self.dice.one_in(2) { self.kill(leader) } else { self.stop(leader) }
                }
            }
            4 | 5 => self.stop(at),
            6 => {
                self.away_until = self.now + 10 + self.dice.below(120) as u64;
                self.note("the ledger is away");
            }
            7 | 8 => {
                self.tally.lost_answers += 1;
                self.ledger.inner().loses_an_answer = true;
            }
            9 | 12 => {
                let dump = self.ledger.inner().database.clone();
                self.dumps.push(dump);
                if self.dumps.len() > 3 {
                    let oldest = self.dice.below(3);
                    self.dumps.remove(oldest);
                }
                // Somebody sleeps through what comes next, and wakes up in another history.
                if self.restores {
                    self.stop(at);
                }
            }
            10 | 13 => {
                if (self.restores || self.dice.one_in(2)) && !self.dumps.is_empty() {
                    self.restore();
                }
            }
            _ => {
                self.tally.clock_steps += 1;
                self.offset = [-3600, 0, 3600][self.dice.below(3)];
                let told = format!("the clock of the ledger is {} off", self.offset);
                self.note(told);
            }
        }
    }

    fn kill(&mut self, at: usize) {
        self.tally.kills += 1;
        let down = 5 + self.dice.below(200) as u64;
        let node = &mut self.nodes[at];
        node.kill();
        node.down_until = self.now + down;
        let told = format!("{} is killed", node.name);
        self.note(told);
    }

    /// SIGSTOP, often past the lease.
    fn stop(&mut self, at: usize) {
        self.tally.pauses += 1;
        let until = self.now + 5 + self.dice.below(120) as u64;
        let node = &mut self.nodes[at];
        node.paused_until = until;
        let told = format!("{} is stopped until {until}", node.name);
        self.note(told);
    }

    fn restore(&mut self) {
        self.tally.restores += 1;
        let dump = self.dumps[self.dice.below(self.dumps.len())].clone();
        let told = format!("the ledger is restored to generation {}", dump.rows.head.generation);
        {
            let mut inner = self.ledger.inner();
            inner.database = dump;
            inner.wrote = 0;
        }
        self.note(told);
        self.audited = 0;
        self.forget_members();
        self.restored = !self.follows_all();
    }

    /// Whoever is no member of the ledger as it is now has to join again before it counts.
    pub(crate) fn forget_members(&mut self) {
        let inner = self.ledger.inner();
        let members: Vec<String> = inner
            .database
            .rows
            .replicas
            .iter()
            .filter(|row| row.removed.is_none())
            .map(|row| row.name.clone())
            .collect();
        drop(inner);
        for node in &mut self.nodes {
            node.trusted &= members.contains(&node.name);
        }
    }
}
