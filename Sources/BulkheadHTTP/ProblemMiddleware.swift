import BulkheadAPI
import BulkheadCore
import HTTPTypes
import Hummingbird
import Logging

/// Turns every error into problem+json, and leaves the body out of what answers HEAD.
struct ProblemMiddleware: RouterMiddleware {
    func handle(
        _ request: Request,
        context: CallContext,
        next: (Request, CallContext) async throws -> Response
    ) async throws -> Response {
        let response: Response
        do {
            guard RouteTable.knows(request.method) else { throw Self.unknown(request.method) }
            response = try await next(request, context)
        } catch {
            response = Self.response(to: error, request: request, logger: context.logger)
        }
        return request.method == .head ? response.createHeadResponse() : response
    }

    private static func response(to error: any Error, request: Request, logger: Logger) -> Response {
        switch error {
        case let error as BulkheadError:
            let problem = Problem(error)
            if problem.status >= 500, error.code != .unavailable, error.code != .noReserve {
                logger.error("\(request.method) \(request.uri.path) failed", metadata: ["error": "\(error)"])
            }
            return Response(problem)
        case let refusal as MethodRefusal: return Response(problem(refusal), headers: refusal.allow)
        case let problem as Problem: return Response(problem)
        case let error as HTTPError where error.status == .notFound:
            return Response(
                Problem(
                    BulkheadError(
                        .notFound,
                        "there is nothing at \(request.uri.path.cut(toBytes: 128))",
                        advice: "the API begins with /v1/, such as /v1/tasks and /v1/status"
                    )
                )
            )
        case is CancellationError: return Response(Problem(Self.stopping))
        default:
            logger.error("\(request.method) \(request.uri.path) failed", metadata: ["error": "\(error)"])
            return Response(
                Problem(BulkheadError(.internal, "the call failed", cause: "\(error)".cut(toBytes: 512)))
            )
        }
    }

    /// What is said to calls that the end of the supervisor cuts short.
    static let stopping = BulkheadError(
        .unavailable,
        "the supervisor is stopping",
        advice: "ask again once it is back; what was acknowledged is kept"
    )

    private static func problem(_ refusal: MethodRefusal) -> Problem {
        Problem(
            status: 405,
            kind: "method-not-allowed",
            title: "This path does not have that method",
            detail: "\(refusal.method) is not for this path",
            advice: "it has \(refusal.allow[.allow] ?? "none")"
        )
    }

    private static func unknown(_ method: HTTPRequest.Method) -> Problem {
        Problem(
            status: 501,
            kind: "method-unknown",
            title: "This server does not know the method",
            detail: "there is no method \(method.rawValue.cut(toBytes: 32))",
            advice: "OPTIONS tells the methods of a path"
        )
    }
}
