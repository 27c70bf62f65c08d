import BulkheadCore
import BulkheadEngine
import BulkheadHost
import Foundation
import Glibc
import Logging
import ServiceLifecycle
import UnixSignals

/// Reads the settings again at SIGHUP: what can change does, and what cannot is named.
///
/// The kernel sends the same signal when the terminal of a supervisor has gone, which is a wish to stop.
struct SettingsReload: Service {
    let read: @Sendable () throws -> Settings
    let settings: Settings
    let readiness: Readiness
    let notices: ServiceNotices
    let logger: Logger

    func run() async throws {
        let hadTerminal = Self.hasTerminal
        await cancelWhenGracefulShutdown {
            for await _ in await UnixSignalsSequence(trapping: .sighup) {
                guard !hadTerminal || Self.hasTerminal else {
                    kill(getpid(), SIGTERM)
                    break
                }
                reload()
            }
        }
        try? await gracefulShutdown()
    }

    /// Whether this process has a controlling terminal (tty(4)).
    private static var hasTerminal: Bool { FileHandle(forUpdatingAtPath: "/dev/tty") != nil }

    private func reload() {
        notices.say(.reloading)
        defer {
            // Before recovery is over, that is not ours to say.
            if readiness.isReached { notices.say(.ready(ReadyNotice.sentence(readiness))) }
        }
        do {
            let new = try read()
            readiness.supervisor.reload(drain: new.drain, retention: new.retention)
            let fixed = settings.changesForTheNextStart(in: new).map(\.rawValue)
            logger.notice(
                "the settings were read again",
                metadata: [
                    "drain": "\(Quantities.text(new.drain))",
                    "retention": "\(RetentionSetting(new.retention.age).description)",
                    "retention-tasks": "\(RetentionTasksSetting(new.retention.tasks).description)",
                ]
            )
            guard !fixed.isEmpty else { return }
            logger.warning(
                "settings have changed that hold from the next start only",
                metadata: ["settings": "\(fixed.joined(separator: ", "))"]
            )
        } catch {
            logger.error(
                "the settings cannot be read again; those of before still hold",
                metadata: ["error": "\(error)"]
            )
        }
    }
}

extension Settings {
    /// The settings that differ and that a running supervisor cannot change.
    func changesForTheNextStart(in new: Settings) -> [SettingKey] {
        let differs: [(SettingKey, Bool)] = [
            (.plugins, plugins != new.plugins),
            (.policies, policies != new.policies),
            (.state, state != new.state),
            (.scratch, scratch != new.scratch),
            (.listen, listen != new.listen),
            (.spoolCap, spoolCap != new.spoolCap),
            (.terminalReserve, terminalReserve != new.terminalReserve),
            (.resultLimit, resultLimit != new.resultLimit),
            (.outbox, outboxIsOn != new.outboxIsOn),
            (.dynamicUIDs, dynamicUsers != new.dynamicUsers),
            (.socketGroup, socketGroup != new.socketGroup),
            (.onStop, onStop != new.onStop),
        ]
        return differs.filter(\.1).map(\.0)
    }
}
