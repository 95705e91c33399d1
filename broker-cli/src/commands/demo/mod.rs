mod overlay;
mod slow;
mod transcript;
mod trouble;
mod values;

use crate::failure::Failure;
use crate::options::OutputOptions;
use crate::output::{Need, Output};
use crate::signals;
use clap::Args;
use transcript::Transcript;

/// Show what an overlay is, in one process
///
/// Starts a hub that listens with every transport this program has, sensors and dashboards around
/// it, lets them exchange values of every type, and shows the messages, the events of all endpoints
/// and what happens when something goes wrong. Compares what arrived with what was sent, and ends
/// with 1 if anything differs. Listens on 127.0.0.1 only, at free ports.
///
/// In JSON, events have two members more than elsewhere: the names of the `observer` that reports
/// them and, if it takes part, of the `subject` they are about.
#[derive(Args)]
pub(crate) struct Demo {
    #[command(flatten)]
    output: OutputOptions,
}

impl Demo {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let mut transcript = Transcript::new(Output::new(self.output.format(), Need::Output)?);
        signals::unless_interrupted(async {
            let outcome = run_scenarios(&mut transcript).await;
            transcript.close(outcome).await
        })
        .await?
    }
}

/// All scenarios, in their order.
async fn run_scenarios(transcript: &mut Transcript) -> Result<(), Failure> {
    let mut hub = overlay::start_hub(transcript).await?;
    overlay::across_all_transports(transcript, &mut hub).await?;
    trouble::refused_connection(transcript).await?;
    trouble::unknown_peer(transcript).await?;
    trouble::wrong_protocol(transcript, &mut hub).await?;
    slow::a_slow_reader(transcript).await?;
    hub.shut_down(transcript).await
}
