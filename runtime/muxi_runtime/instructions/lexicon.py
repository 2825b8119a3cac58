"""Words by what they do in an instruction to a model, in English, German, French, Spanish and Chinese.

As `folding` leaves them: small letters without accents. A word can be of several classes.
"""

from __future__ import annotations

from enum import StrEnum

__all__ = ["ABOUT", "AI_GOES_ON", "BEFORE_COMMAND", "CHINESE", "WORDS", "Is"]


class Is(StrEnum):
    """Classes of words."""

    OVERRIDE = "override"
    TIME = "time"
    ALL = "all"
    THING = "thing"
    TOLD = "told"
    RULE = "rule"
    FOLLOW = "follow"
    STOP = "stop"
    NOT = "not"
    VOID = "void"
    YOU = "you"
    YOUR = "your"
    ARE = "are"
    ARE_YOU = "are-you"
    NOW = "now"
    MUST = "must"
    AI = "ai"
    LANGUAGE = "language"
    MODEL = "model"
    SURE = "sure"
    """Surely a model; also what `tokens` makes of an AI word beside a MODEL word."""
    GREET = "greet"
    TO = "to"
    IF = "if"
    AS = "as"
    READ = "read"
    READING = "reading"
    THAT = "that"
    THIS = "this"
    TEXT = "text"
    USER = "user"
    WANT = "want"
    CONFIRMED = "confirmed"
    TELL = "tell"
    ASK = "ask"
    WITHOUT = "without"
    LIMIT = "limit"
    BEFORE = "before"
    AFTER = "after"
    ANSWER = "answer"
    WORK = "work"
    NEW = "new"
    PRETEND = "pretend"
    SYSTEM = "system"
    MESSAGE = "message"
    FRAME = "frame"
    PROMPT = "prompt"
    SHOW = "show"
    ACT = "act"
    TAG = "tag"


_CLASSES = {
    Is.OVERRIDE: (
        "ignore disregard forget override overlook bypass discard ignoring disregarding"
        " ignoriere ignoriert ignorieren vergiss vergesst vergessen missachte missachten"
        " verwirf ignorez oublie oubliez ignora ignorad ignoren olvida olvide olvidad"
        " olviden 忽略 无视 無視 忘记 忘掉 不理会"
    ),
    Is.TIME: (
        "previous previously prior above earlier preceding before existing original"
        " initial former past current far vorherigen vorherige vorigen bisherigen"
        " bisherige bisher obigen obige fruheren fruhere vorher zuvor precedentes"
        " precedents anterieures auparavant avant dessus anteriores previas previos antes"
        " arriba 之前 以上 上面 先前 此前 以前 上述 原来"
    ),
    Is.ALL: "all any every alle allen toutes tous tout todas todos cualquier 所有 全部 任何 一切",
    Is.THING: "everything anything alles tout todo 一切",
    Is.TOLD: (
        "told said given asked read learned gesagt gegeben gelesen dit donne dicho dado received recues recu 告诉"
    ),
    Is.RULE: (
        "instruction instructions directive directives directions guideline guidelines"
        " rule rules prompt prompts command commands constraint constraints task tasks"
        " assignment programming anweisung anweisungen regeln vorgaben befehle auftrag"
        " instruktionen consigne consignes regles instrucciones indicaciones reglas"
        " ordenes tarea 指令 指示 命令 规则 要求 提示词 任务"
    ),
    Is.FOLLOW: ("follow obey following obeying honor heed comply folge befolge suivez suis sigas sigue 遵循 遵守 听从"),
    Is.STOP: "stop cease quit hor arrete arretez deja 停止",
    Is.NOT: "ne not never don't dont nicht nie kein keine pas jamais no nunca 不要 不得 别",
    Is.VOID: (
        "void invalid cancelled canceled revoked superseded suspended obsolete expired"
        " disregarded ignored overridden ungultig aufgehoben annulees annulee anuladas"
        " canceladas 无效 作废 取消"
    ),
    Is.YOU: ("you yourself u du dir dich euch ihr sie tu toi te vous eres usted ustedes ti es 你 您 你们"),
    Is.YOUR: "your ur deine deinen deiner ihre ihren tes ta ton vos votre tus su sus 你的 您的",
    Is.ARE: "are you're bist seid sind es etes eres sois 是",
    Is.ARE_YOU: "eres bist es etes seid sois",
    Is.NOW: "now longer jetzt nun maintenant desormais ahora 现在 从现在起",
    Is.MUST: (
        "will must should need needs have has shall required obliged obligated supposed"
        " ordered instructed musst muss mussen sollst soll sollen sollte dois devez doit"
        " debes debe deben 必须 应该 应当 须"
    ),
    Is.AI: "ai ki ia gpt 人工智能",
    Is.LANGUAGE: "language langage lenguaje idioma",
    Is.MODEL: (
        "assistant assistants agent agents model models bot bots assistent assistenten"
        " agenten modell modelle modellen modele modeles assistante modelo modelos"
        " asistente asistentes agente agentes claude 助手 模型 代理 机器人"
    ),
    Is.SURE: (
        "llm llms chatbot chatbots chatgpt copilot gemini sprachmodell sprachmodelle"
        " sprachmodellen 语言模型 大模型 人工智能助手 聊天机器人 智能体"
    ),
    Is.GREET: (
        "dear hello hi hey attention note message notice memo instruction instructions"
        " reminder request hint warning important liebe lieber liebes hallo hinweis"
        " nachricht achtung anweisung cher chere bonjour avis nota mensaje aviso querido"
        " querida hola atencion 致 亲爱的 注意 你好 告"
    ),
    Is.TO: "to for aux para all any every whichever whatever attention tous todos",
    Is.IF: "if when wenn falls si cuando quand 如果 若 假如 当",
    Is.AS: "as als en como 作为",
    Is.READING: (
        "reading processing summarizing summarising parsing handling analyzing analysing"
        " seeing evaluating reviewing ranking browsing visiting leyendo lisant traitant"
    ),
    Is.READ: (
        "reads read processes process summarizes summarises summarize summarise parses"
        " handles analyzes sees lesen liest lest verarbeiten verarbeitet lisent lit"
        " traitent traite lean lee leen procesan procesa 阅读 读取 处理 看到 读到"
    ),
    Is.THAT: "that who which qui que die das welche",
    Is.THIS: ("this these diesen diese dieses dies ce cet cette ceci esto este esta 本文 这 这个 此 本页"),
    Is.TEXT: (
        "text page document message email mail content everything lines line abschnitt texte texto contenido 内容 文字"
    ),
    Is.USER: ("user users human person operator owner nutzer benutzer anwender utilisateur usuario 用户"),
    Is.WANT: (
        "request wants want asked asks instructed told needs expects glad would like requested"
        " requests mochte will veut souhaite quiere desea 希望 要求"
    ),
    Is.CONFIRMED: (
        "confirmed approved agreed consented authorized authorised allowed bestatigt confirme confirmado 确认 同意"
    ),
    Is.TELL: (
        "tell mention inform reveal show notify alert disclose say report sag sage sagen"
        " verrate erwahne informiere dis dites mentionne digas menciones informes 告诉 提及 透露"
        " 通知"
    ),
    Is.ASK: ("asking ask confirmation consent approval fragen ruckfrage demander preguntar 询问 确认"),
    Is.WITHOUT: "without ohne sans sin no unbound free 没有 无 不受",
    Is.LIMIT: (
        "restriction restrictions restricted limits limitations guidelines rules filters"
        " safety einschrankungen regeln limites restricciones limitaciones 限制 约束"
    ),
    Is.BEFORE: "before bevor avant antes 之前 在",
    Is.AFTER: "after once until nachdem apres despues",
    Is.ANSWER: (
        "answer answering respond responding response reply replying summary summarise"
        " summarize output report answers antwortest antworten antwort antworte repondre"
        " reponds reponse responder respondes respuesta 回答 回复 摘要"
    ),
    Is.WORK: (
        "continue continuing proceed proceeding solve solving complete completing finish perform fortfahrst continuer"
    ),
    Is.NEW: ("new real actual true only updated changed neue neuer nouvelle nouvelles nueva nuevas 新 新的 真正"),
    Is.PRETEND: ("pretend roleplay act assume impersonate simulate behave become imagine spiele actua finge 扮演 假装"),
    Is.SYSTEM: (
        "system sys systemnachricht systeme sistema developer admin administrator root operator 系统 管理员 开发者"
    ),
    Is.MESSAGE: (
        "message notice override alert update prompt command instruction instructions"
        " notification note policy nachricht hinweis mensaje systemnachricht 消息 通知 提示 指令"
    ),
    Is.FRAME: "begin start end beginning",
    Is.PROMPT: "prompt prompts 提示词",
    Is.SHOW: (
        "reveal print output repeat disclose leak show display dump quote recite gib nenne affiche muestra 显示 输出"
    ),
    Is.TAG: "im system sys inst instruction instructions admin developer root assistant",
    Is.ACT: (
        "subscribe confirm sign stop send forward delete remove erase wipe transfer pay buy order call execute run"
        " open visit go fetch click upload post publish share invite add create include"
        " append insert say tell write print reply respond answer mention recommend reveal"
        " disclose show output repeat state claim praise rank rate give grant approve mark"
        " set rename book cancel move copy sell close install download enter use list"
        " speak read search proceed begin start do make replace change submit mail email"
        " end invoke sende schicke leite losche uberweise rufe gib nenne nennt sag sage"
        " empfiehl empfehle offne schreibe senden loschen fuge fuhre antworte kaufe"
        " bestelle envoie envoyez supprime supprimez affiche affichez ajoute ajoutez"
        " recommandez recommande donnez donne dis dites appelle appelez ouvre ouvrez paie"
        " payez transfere reponds repondez envia envie borra borre muestra muestre marca"
        " marque di diga recomienda recomiende pon ponga pongan llama abre paga transfiere"
        " responde anade 请 发送 删除 显示 推荐 标记 给出 转发 调用 打开 支付 转账 回复 添加 把"
    ),
}


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


BEFORE_COMMAND = _set(
    "do please kindly now and then also first just instead immediately must should"
    " simply always silently quickly bitte und dann jetzt zuerst unbedingt y et puis"
    " luego por favor ahora primero you sofort merci but"
)
"""After these a verb can be a command."""

AI_GOES_ON = _set(
    "is are bist ist es est reading processing that which who and or called named without with in at"
    " handling summarizing summarising parsing evaluating reviewing qui que die das"
    " welche y et und then you please must should"
)
"""Before any other word an AI is no noun, as in AI company."""

ABOUT = _set(
    "attack attacks attacker attackers injection injections inject injected jailbreak"
    " jailbreaks phrase phrases sentence sentences such example examples eg malicious"
    " filter filters scanner classifier detector detect detects exploit exploits term"
    " payload payloads typical prompts paper angriff angriffe angreifer satz satze"
    " satzen attaque attaques exemple ataque ataques frase frases ejemplo 攻击 例如 例子 注入"
)
"""Who writes about instructions to models uses one of these beside the one that is quoted."""


def _by_word() -> dict[str, frozenset[Is]]:
    found: dict[str, set[Is]] = {}
    for kind, words in _CLASSES.items():
        for word in words.split():
            found.setdefault(word, set()).add(kind)
    return {word: frozenset(kinds) for word, kinds in found.items()}


WORDS = _by_word()
CHINESE = tuple(sorted({word for word in {*WORDS, *ABOUT} if not word.isascii()}, key=len, reverse=True))
"""Longest first: there are no spaces between them."""
