using System.Text.Json.Nodes;
using GradientAtoms.Runs.Answers;

namespace GradientAtoms.Server.OpenAI;

/// <summary>An error as clients of OpenAI's API expect it: a status, and <c>error</c> with message, type, param and code.</summary>
internal sealed record ErrorReply(int Status, JsonObject Body)
{
    public static ErrorReply Of(GradientAtomsException error)
    {
        var status = error switch
        {
            ServerException own => own.Status,
            AnswerException { Fault: AnswerFault.UnknownModel } => 404,
            AnswerException { Fault: AnswerFault.BadRequest or AnswerFault.TooLong } => 400,
            AnswerException { Fault: AnswerFault.Busy } => 429,
            AnswerException { Fault: AnswerFault.TimedOut } => 504,
            AnswerException { Fault: AnswerFault.Stopping } => 503,
            AnswerException => 500,
            _ => 400, // the template refuses the messages, a pole has no direction
        };
        return new(status, new()
        {
            ["error"] = new JsonObject
            {
                ["message"] = $"{error.Location}: {error.Problem}. {error.Remedy}",
                ["type"] = TypeOf(status),
                ["param"] = status is 400 or 404 ? error is AnswerException { Fault: AnswerFault.UnknownModel } ? "model" : error.Location : null,
                ["code"] = error.Code,
            },
        });
    }

    private static string TypeOf(int status) => status switch
    {
        401 => "authentication_error",
        403 => "permission_error",
        429 => "rate_limit_error",
        503 => "service_unavailable_error",
        504 => "timeout_error",
        >= 500 => "server_error",
        _ => "invalid_request_error",
    };
}
