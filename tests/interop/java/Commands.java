import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;

/** How the clients of story.py are driven: a command a line, answered by a line that begins with "> ". */
final class Commands {
    private Commands() {
    }

    /** Does what a command says; an exception is answered as an error. */
    interface Obeying {
        String obey(String[] words) throws Exception;
    }

    /** Obeys until the commands end, and ends the process then. */
    static void obey(Obeying client) throws IOException {
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            String answer;
            try {
                answer = client.obey(line.split(" "));
            } catch (Exception e) {
                answer = "error: " + e;
            }
            System.out.println("> " + answer.replace('\n', ' '));
            System.out.flush();
        }
        Runtime.getRuntime().halt(0);
    }
}
