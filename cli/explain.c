/* What an error code means and what helps. SPDX-License-Identifier: Apache-2.0 */
#include "explain.h"

static const char *const advice[ERR_COUNT] = {
    [ERR_OK] = "Nothing failed.",
    [ERR_SYSTEM] = "The kernel refused something; the error says what and why. paas doctor checks "
                   "what a\nplatform needs of its host.",
    [ERR_INTERNAL] = "This is a bug. The logs are in DATA/log; please report it with them.",
    [ERR_NO_MEMORY] = "The host has no memory left. paas ps shows what instances use; lower "
                      "--memory or\nscale down.",
    [ERR_BAD_REQUEST] = "The JSON or the request is malformed; the error names line and column.",
    [ERR_BAD_VALUE] = "The error names the value and the range that it must be in.",
    [ERR_UNKNOWN_KEY] = "The error names the key and the nearest known one. paas config check "
                        "looks at a\npaas.json without a platform.",
    [ERR_USAGE] = "paas COMMAND --help shows how a command is used.",
    [ERR_NOT_FOUND] = "paas apps lists apps, paas ps instances, paas releases APP releases.",
    [ERR_METHOD] = "The API does not do this to that resource; see /v1/openapi.json.",
    [ERR_UNAUTHENTICATED] = "The API on TCP needs a token: PAAS_TOKEN=$(sudo cat "
                            "/var/lib/paas/api.token).",
    [ERR_FORBIDDEN] = "The API's socket serves root and members of group paas:\n"
                      "sudo groupadd -f paas && sudo usermod -aG paas $USER, then log in again.",
    [ERR_CONFLICT] = "Something else has the name, port or place; the error says what.",
    [ERR_STALE] = "Someone changed it after you read it. Look again, then repeat.",
    [ERR_TOO_LARGE] = "The error names the limit.",
    [ERR_URI_TOO_LONG] = "The address of the request is longer than servers take.",
    [ERR_HEADERS_TOO_LARGE] = "The request's headers are too large: often a cookie that grew.",
    [ERR_NOT_IMPLEMENTED] = "The platform does not support this.",
    [ERR_VERSION_NOT_SUPPORTED] = "The platform speaks HTTP/1.0 and HTTP/1.1.",
    [ERR_BUSY] = "Too much at once: try again in a moment. For an app, paas scale APP N adds "
                 "instances.",
    [ERR_UNAVAILABLE] = "It does not run or does not answer now. paas status says what runs; sudo "
                        "paas up\n--detach starts the platform.",
    [ERR_BAD_GATEWAY] = "The app's answer was not HTTP, or broke off. paas logs APP may say why.",
    [ERR_TIMEOUT] = "The wait ended, the work goes on: paas events APP -f shows how.",
    [ERR_REQUEST_TIMEOUT] = "The client sent its request too slowly.",
    [ERR_FULL] = "The disk, the memory or a range is used up. df and free show which.",
    [ERR_RUNNING] = "A platform with this data runs already. paas status shows it; paas down ends "
                    "it;\n--data DIR makes another one beside it.",
    [ERR_BAD_IMAGE] = "The image is damaged or of a kind that is not supported. skopeo inspect "
                      "shows what it is.",
    [ERR_BAD_MANIFEST] = "paas.json says something impossible; paas config check names the place.",
    [ERR_DIGEST] =
        "The bytes differ from what their name promises: a damaged or changed file. Make "
        "the\nimage anew and push again.",
    [ERR_COMMAND_MISSING] = "The program of the command is not in the app's files or its image. "
                            "Files are at /app,\nwhich is the working directory: ./server is "
                            "/app/server. On stack scratch there is no shell.",
    [ERR_APP_EXITS] = "The app ended by itself right after its start. paas logs APP shows its last "
                      "words.",
    [ERR_APP_SILENT] = "The app must listen on the port in the variable PORT, on all addresses. It "
                       "did not\nlisten in time; health.start in paas.json gives it longer.",
    [ERR_APP_PORT] = "The app listens, but not on $PORT. Let it read PORT, or tell the platform: "
                     "paas push\nAPP --port P.",
    [ERR_APP_UNHEALTHY] = "The health check did not get a 2xx or 3xx answer in time. paas ps APP "
                          "-o wide shows its\nlast one.",
    [ERR_APP_OOM] = "The app used more memory than its limit: paas push APP --memory 512M.",
    [ERR_SUPERSEDED] = "A newer push or rollback of this app came first; paas releases APP shows "
                       "them.",
    [ERR_CANCELLED] = "You stopped waiting. The work goes on: paas events APP -f.",
};

const char *explain_advice(enum err_code code) {
    return code >= 0 && code < ERR_COUNT && advice[code] ? advice[code]
                                                         : "There is nothing more to say about it.";
}
